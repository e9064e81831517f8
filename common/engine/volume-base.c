/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A linked clone has its base open.  The base is entered before blocks are looked up, so that it is
 * there if one of them is the base's; once flatten has taken it away, none is.
 */
#include "common/engine/volume-base.h"

#include <string.h>

#include "common/engine/volume-private.h"

Volume *volume_base_enter(Volume *volume)
{
	Volume *base;

	if (G_LIKELY(!volume->linked))
		return NULL;
	__atomic_add_fetch(&volume->base_users, 1, __ATOMIC_SEQ_CST);
	base = __atomic_load_n(&volume->base, __ATOMIC_SEQ_CST);
	if (!base)
		volume_base_leave(volume, volume);
	return base;
}

void volume_base_leave(Volume *volume, const Volume *base)
{
	if (base)
		__atomic_sub_fetch(&volume->base_users, 1, __ATOMIC_SEQ_CST);
}

guint volume_depth(Volume *volume)
{
	Volume *base = volume_base_enter(volume);
	guint depth = base ? 1 + volume_depth(base) : 0;

	volume_base_leave(volume, base);
	return depth;
}

/* ---- opening */

gboolean volume_base_fits(const Volume *base, const BaseIdentity *wanted, const char *name,
			  GError **error)
{
	const BaseIdentity *found = &base->self;

	return (!memcmp(found->snapshot, wanted->snapshot, sizeof wanted->snapshot) &&
		found->generation == wanted->generation && found->size == wanted->size &&
		found->root == wanted->root) ||
	       error_set(error, STORAGEOS_ERROR_CORRUPT,
			 "%s: its base '%s' is not what the clone was made of: it has another "
			 "size or content",
			 name, wanted->name);
}

gboolean volume_base_open(Volume *volume, const Superblock *sb, VolumeBaseOpen open_base,
			  gpointer data, GError **error)
{
	if (!(sb->incompatible & FORMAT_INCOMPATIBLE_BASE))
		return TRUE;
	volume->linked = TRUE;
	volume->base_identity = sb->base;
	if (!open_base)
		return error_set(error, STORAGEOS_ERROR_UNSUPPORTED,
				 "%s: it is a linked clone of '%s', which is needed to read it",
				 volume->engine.name, sb->base.name);
	volume->base = open_base(&sb->base, data, error);
	return volume->base &&
	       volume_base_fits(volume->base, &sb->base, volume->engine.name, error);
}

void volume_as_base(const Volume *snapshot, const char *name, BaseIdentity *ret_base)
{
	*ret_base = snapshot->self;
	g_strlcpy(ret_base->name, name, sizeof ret_base->name);
}

gboolean volume_find_base(Backing *backing, BaseIdentity *ret_base)
{
	SuperblockPair pair;

	if (!superblock_load(backing, &pair, NULL) ||
	    !(pair.current.incompatible & FORMAT_INCOMPATIBLE_BASE))
		return FALSE;
	*ret_base = pair.current.base;
	return TRUE;
}
