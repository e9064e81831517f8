/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order: share the extents under a temporary name; give both files extents of their own up to
 * the first group, so that neither needs space for its journal later; open, roll back, delete the
 * snapshots, renew the UUID, close; rename.  A crash leaves a temporary file, as one in a creation
 * does.
 */
#include "common/service/pool-clone.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h> /* FICLONE */
#undef BLOCK_SIZE     /* another one */
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/autofd.h"
#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/files.h"
#include "common/engine/superblock.h"
#include "common/engine/volume-base.h"
#include "common/engine/volume-reserve.h"
#include "common/service/pool-private.h"
#include "common/base/logging.h"
#include "common/service/registry.h"
#include "common/service/volume-summary.h"

#define NEXT_STEP "; without it: storageos clone --linked %s@%s NAME"

typedef struct {
	const Config *config;
	const VolumeName *from, *to;
	const char *snapshot;
	char *text; /* of `from` */
	char *source, *temporary, *path;
} Cloning;

static void cloning_clear(Cloning *cloning)
{
	g_free(cloning->text);
	g_free(cloning->source);
	g_free(cloning->temporary);
	g_free(cloning->path);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Cloning, cloning_clear)

/* ---- sharing the extents */

/* The number of the file's extents; 0 if the file system does not tell. */
static guint extents_count(int fd)
{
	struct fiemap map = {.fm_length = FIEMAP_MAX_OFFSET};

	return ioctl(fd, FS_IOC_FIEMAP, &map) ? 0 : map.fm_mapped_extents;
}

static gboolean extents_check(const Cloning *cloning, int source, GError **error)
{
	guint extents = extents_count(source);

	return extents <= POOL_CLONE_EXTENTS_MAX ||
	       error_set(error, STORAGEOS_ERROR_UNSUPPORTED,
			 "%s has %u extents, and sharing them would hold up its users for too "
			 "long" NEXT_STEP,
			 cloning->source, extents, cloning->text, cloning->snapshot);
}

static gboolean extents_share(const Cloning *cloning, int source, int target, GError **error)
{
	if (!ioctl(target, FICLONE, source))
		return TRUE;
	if (errno == EOPNOTSUPP || errno == EXDEV || errno == EINVAL || errno == ENOTTY)
		return error_set(
			error, STORAGEOS_ERROR_UNSUPPORTED,
			"the file system of %s cannot share extents with %s (xfs and btrfs "
			"can, within one file system)" NEXT_STEP,
			cloning->source, cloning->path, cloning->text, cloning->snapshot);
	return error_set_errno(error, errno, "share the extents of %s", cloning->source);
}

/* Gives the file extents of its own in [0, end), where it writes in place.  A file system that
 * cannot, such as btrfs, never writes in place. */
static gboolean extents_unshare(int fd, const char *path, guint64 end, GError **error)
{
	if (!fallocate(fd, FALLOC_FL_UNSHARE_RANGE, 0, (off_t)end) || errno == EOPNOTSUPP)
		return TRUE;
	return error_set_errno(error, errno, "allocate the journal of %s", path);
}

/* Where the volume's first group begins, of the file that was cloned. */
static gboolean groups_find(const char *path, guint64 *ret_offset, GError **error)
{
	g_autoptr(Backing) backing = backing_open(path, 0, error);
	SuperblockPair pair;

	if (!backing || !superblock_load(backing, &pair, error))
		return FALSE;
	*ret_offset = pair.current.groups_offset;
	return TRUE;
}

static gboolean file_clone(const Cloning *cloning, GError **error)
{
	autofd source = fd_open(cloning->source, O_RDWR | O_NOFOLLOW, 0);
	autofd target = fd_open(cloning->temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	guint64 groups;

	if (source < 0 || target < 0)
		return error_set_errno(error, errno, "open %s",
				       source < 0 ? cloning->source : cloning->temporary);
	return extents_check(cloning, source, error) &&
	       extents_share(cloning, source, target, error) &&
	       groups_find(cloning->temporary, &groups, error) &&
	       extents_unshare(target, cloning->temporary, groups, error) &&
	       extents_unshare(source, cloning->source, groups, error);
}

/* ---- making it a volume of its own */

static gboolean holds_release(Volume *volume, const VolumeSnapshotInfo *info, GError **error)
{
	g_autoptr(GPtrArray) tags = volume_snapshot_tags(volume, info->generation);

	for (guint i = 0; i < tags->len; i++)
		if (!volume_snapshot_release(volume, info->name, g_ptr_array_index(tags, i), error))
			return FALSE;
	return TRUE;
}

static gboolean snapshots_delete(Volume *volume, GError **error)
{
	g_autoptr(GArray) infos = volume_snapshots(volume);

	for (guint i = 0; i < infos->len; i++) {
		const VolumeSnapshotInfo *info = &g_array_index(infos, VolumeSnapshotInfo, i);

		if (info->state == VOLUME_SNAPSHOT_DELETING)
			continue;
		if ((info->holds && !holds_release(volume, info, error)) ||
		    !volume_snapshot_delete(volume, info->name, 0, error))
			return FALSE;
	}
	return TRUE;
}

static gboolean volume_settle_down(const Cloning *cloning, char ret_uuid[UUID_TEXT], GError **error)
{
	Backing *backing = backing_open(cloning->temporary, 0, error);
	Volume *volume = backing ? volume_open(backing, cloning->to->name, 0, error) : NULL;
	gboolean done, closed;
	VolumeInfo info;

	if (!volume)
		return FALSE;
	done = volume_rollback(volume, cloning->snapshot,
			       VOLUME_ROLLBACK_DISCARD | VOLUME_ROLLBACK_SIZE_TOO, NULL, error) &&
	       snapshots_delete(volume, error) && volume_renew_uuid(volume, error);
	volume_get_info(volume, &info);
	memcpy(ret_uuid, info.uuid, UUID_TEXT);
	closed = volume_close(volume, done ? error : NULL);
	return done && closed;
}

/* ---- the whole */

/* A write to an extent that is shared needs space. */
static gboolean file_has_reserve(const char *path)
{
	VolumeSummary summary;

	return volume_summary_read(path, &summary, NULL) &&
	       volume_reserve_bytes(&summary.properties, summary.size);
}

static gboolean file_is_linked(const char *path)
{
	g_autoptr(Backing) backing = backing_open(path, BACKING_OPEN_READ_ONLY, NULL);
	BaseIdentity base;

	return backing && volume_find_base(backing, &base);
}

static gboolean cloning_init(Cloning *cloning, const ConfigPool *pool, GError **error)
{
	if (!cloning->from->pool)
		return error_set(error, STORAGEOS_ERROR_UNSUPPORTED,
				 "%s is a block device, and has no extents to share" NEXT_STEP,
				 cloning->text, cloning->text, cloning->snapshot);
	cloning->source = pool_existing_path(cloning->config, cloning->from, error);
	if (!cloning->source || !pool_check_new_name(cloning->config, cloning->to, error))
		return FALSE;
	if (file_is_linked(cloning->source))
		return error_set(error, STORAGEOS_ERROR_UNSUPPORTED,
				 "%s is a linked clone itself, and a reflink of it would need the "
				 "same base without holding it (--linked makes a linked clone)",
				 cloning->text);
	if (file_has_reserve(cloning->source))
		return error_set(error, STORAGEOS_ERROR_UNSUPPORTED,
				 "%s has a reserve, which shared extents would break" NEXT_STEP,
				 cloning->text, cloning->text, cloning->snapshot);
	cloning->path = pool_file_path(pool, cloning->to);
	cloning->temporary = pool_temporary_path(cloning->path);
	return access(cloning->path, F_OK) ||
	       error_set(error, STORAGEOS_ERROR_EXISTS, "%s is there already", cloning->path);
}

static gboolean cloning_carry_out(Cloning *cloning, char ret_uuid[UUID_TEXT], GError **error)
{
	if (file_clone(cloning, error) && volume_settle_down(cloning, ret_uuid, error) &&
	    files_publish(cloning->temporary, cloning->path, error))
		return TRUE;
	unlink(cloning->temporary);
	return FALSE;
}

static gboolean clone_in_pool(Cloning *cloning, GError **error)
{
	const ConfigPool *pool = pool_find(cloning->config, cloning->to, error);
	g_autofree char *uuid_of_pool = pool ? pool_uuid(pool, error) : NULL;
	g_autoptr(GError) problem = NULL;
	char uuid[UUID_TEXT];

	if (!uuid_of_pool || !cloning_init(cloning, pool, error) ||
	    !cloning_carry_out(cloning, uuid, error))
		return FALSE;
	pool_note(cloning->config, cloning->to, uuid, uuid_of_pool);
	if (!registry_note_clone(cloning->config, cloning->to, &problem))
		log_warning("volume %s/%s: cannot note in the registry that it is a clone: %s",
			    cloning->to->pool, cloning->to->name, problem->message);
	return TRUE;
}

gboolean pool_volume_clone(const Config *config, const VolumeName *from, const char *snapshot,
			   const VolumeName *to, GError **error)
{
	const VolumeName plain = {.pool = from->pool, .name = from->name};
	g_auto(Cloning)
		cloning = {.config = config, .from = &plain, .to = to, .snapshot = snapshot};

	cloning.text = volume_name_format(&plain);
	if (!pool_check_thin(config, from, error) || !pool_check_thin(config, to, error))
		return pool_fail("make the clone", to, error);
	if (!to->pool)
		error_set(error, STORAGEOS_ERROR_UNSUPPORTED,
			  "a block device has no extents to share" NEXT_STEP, cloning.text,
			  snapshot);
	else if (clone_in_pool(&cloning, error))
		return TRUE;
	return pool_fail("make the clone", to, error);
}
