/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/engine/snapshot-shadow.h"

#include "common/base/units.h"
#include "common/engine/volume-snapshots.h"
#include "tests/engine/support.h"

#define LEAF 256u /* blocks */

/* Leaves that are written: neighbours, and the first and last of nodes of each level. */
static const guint64 leaves[] = {0,
				 1,
				 2,
				 255,
				 256,
				 257,
				 65535,
				 65536,
				 65537,
				 (guint64)1 << 24,
				 ((guint64)1 << 24) + 1,
				 ((guint64)3 << 24) + 5 * 65536,
				 ((guint64)1 << 26) - 1};
static const guint64 in_leaf[] = {0, 1, 130, 255};
G_STATIC_ASSERT(G_N_ELEMENTS(leaves) * G_N_ELEMENTS(in_leaf) == SHADOW_PLACES);

const guint64 shadow_sizes[SHADOW_SIZES] = {MIB, 2 * MIB - 8 * BLOCK_SIZE, 257 * MIB, 65 * GIB,
					    VOLUME_SIZE_MAX};

guint64 shadow_block(guint place)
{
	return leaves[place / G_N_ELEMENTS(in_leaf)] * LEAF +
	       in_leaf[place % G_N_ELEMENTS(in_leaf)];
}

gboolean shadow_has(guint place, guint64 size)
{
	return shadow_block(place) < size / BLOCK_SIZE;
}

void shadow_fill(guint64 block, guint32 value, guint64 *words)
{
	for (guint i = 0; i < BLOCK_SIZE / sizeof *words; i++)
		words[i] = value ? value * 0x9e3779b97f4a7c15u + block + i : 0;
}

gboolean shadow_compare(Volume *volume, const ShadowContent *shadow, const char *what)
{
	gboolean good = CHECK_UINT(volume_size(volume), shadow->size);
	guint64 wanted[BLOCK_SIZE / 8], got[BLOCK_SIZE / 8];

	for (guint i = 0; i < SHADOW_PLACES && good; i++) {
		guint64 block = shadow_block(i);

		if (!shadow_has(i, shadow->size))
			continue;
		shadow_fill(block, shadow->values[i], wanted);
		good = CHECK_INT(volume_get(volume, got, BLOCK_SIZE, block * BLOCK_SIZE), 0) &&
		       CHECK_MEM(got, wanted, BLOCK_SIZE);
		if (!good)
			test_note("%s, block %" G_GUINT64_FORMAT, what, block);
	}
	return good;
}

gboolean shadow_compare_snapshot(Backing *disk, const char *name, const ShadowContent *shadow)
{
	g_autoptr(GError) error = NULL;
	Volume *volume =
		volume_open_snapshot(backing_borrow(disk), "model", name, NULL, NULL, &error);
	gboolean good;

	if (!CHECK_NO_ERROR(error) || !CHECK(volume != NULL))
		return FALSE;
	good = shadow_compare(volume, shadow, name);
	close_volume(volume);
	return good;
}
