/* SPDX-License-Identifier: Apache-2.0 */
#include "common/engine/superblock.h"
#include "common/engine/checked.h"
#include "common/engine/superblock-far.h"

#include <errno.h>
#include <string.h>

#define NEAR_COPIES 2u

typedef struct {
	FormatSuperblock raw[SUPERBLOCK_COPIES];
	Superblock sb[SUPERBLOCK_COPIES];
	gboolean good[SUPERBLOCK_COPIES];
} Copies;

/* Whether there may be far copies.  Where a superblock has no group, a newer one may have. */
static gboolean has_far_places(Backing *backing, const Superblock *sb)
{
	return (sb->ro_compatible & FORMAT_RO_FAR_COPIES) &&
	       superblock_place(sb, SUPERBLOCK_C) + FORMAT_SUPERBLOCK_SIZE <= backing_size(backing);
}

guint superblock_count(Backing *backing, const Superblock *sb)
{
	return sb->groups && has_far_places(backing, sb) ? SUPERBLOCK_COPIES : NEAR_COPIES;
}

/* `sb` has the place of a far copy. */
static gboolean load_copy(Backing *backing, const Superblock *sb, guint copy, Copies *copies,
			  GError **error)
{
	FormatSuperblock *raw = &copies->raw[copy];
	int r = backing_pread(backing, raw, sizeof *raw, superblock_place(sb, copy));

	if (r == -ENXIO)
		return error_set(error, STORAGEOS_ERROR_CORRUPT, "%s: no storageos volume",
				 backing->name);
	if (r)
		return error_set_errno(error, r, "%s: read superblock %c", backing->name,
				       "ABCD"[copy]);
	copies->good[copy] = superblock_decode(raw, &copies->sb[copy], backing->name, error);
	return copies->good[copy];
}

/* Whether the four bytes at `offset` are this magic number. */
static gboolean has_magic(Backing *backing, guint64 offset, guint32 magic)
{
	guint32 found;

	return !backing_pread(backing, &found, sizeof found, offset) &&
	       GUINT32_FROM_LE(found) == magic;
}

/* Whether a backing without a valid superblock has other signs of a volume: the first bytes of a
 * superblock, a mark of the journal, the journal's first record, or a bitmap page. */
static gboolean has_volume_structures(Backing *backing)
{
	static const gsize record = G_STRUCT_OFFSET(FormatRecord, magic);
	static const gsize bitmap = G_STRUCT_OFFSET(FormatBitmap, magic);
	guint32 superblock;

	memcpy(&superblock, FORMAT_MAGIC, sizeof superblock);
	superblock = GUINT32_FROM_LE(superblock);
	return has_magic(backing, FORMAT_SUPERBLOCK_A, superblock) ||
	       has_magic(backing, FORMAT_SUPERBLOCK_B, superblock) ||
	       has_magic(backing, FORMAT_MARKS_OFFSET + record, FORMAT_RECORD_MAGIC) ||
	       has_magic(backing, FORMAT_CHECKPOINT_MARK_OFFSET + record, FORMAT_RECORD_MAGIC) ||
	       has_magic(backing, FORMAT_JOURNAL_OFFSET + record, FORMAT_RECORD_MAGIC) ||
	       has_magic(backing, FORMAT_FIRST_COPIES + bitmap, FORMAT_BITMAP_MAGIC);
}

static guint64 generation_of(const FormatSuperblock *raw)
{
	return GUINT64_FROM_LE(raw->generation);
}

/* Whether each sector of the properties can be from some text of properties: in a sector, nothing
 * follows the zeros that pad the text.  What the text was before is not known. */
static gboolean properties_may_be_torn(const FormatSuperblock *raw)
{
	const guint8 *bytes = (const guint8 *)raw;
	gsize first = G_STRUCT_OFFSET(FormatSuperblock, properties);
	gsize end = first + sizeof raw->properties;
	gboolean padding = FALSE;

	for (gsize i = first; i < end; i++) {
		if (i % SECTOR_SIZE == 0)
			padding = FALSE;
		padding |= !bytes[i];
		if (padding ? bytes[i] : bytes[i] < ' ' && bytes[i] != '\n')
			return FALSE;
	}
	return TRUE;
}

/* Whether each sector of an invalid copy can be from some superblock of this volume. */
static gboolean looks_torn(const FormatSuperblock *raw, const FormatSuperblock *current)
{
	static const guint8 zeros[sizeof raw->reserved];

	return !memcmp(raw->magic, current->magic, sizeof raw->magic) &&
	       raw->version == current->version && raw->seed == current->seed &&
	       raw->groups_offset == current->groups_offset &&
	       raw->journal_size == current->journal_size &&
	       raw->logical_block_size == current->logical_block_size &&
	       !memcmp(raw->reserved, zeros, sizeof zeros) && properties_may_be_torn(raw);
}

/* Whether it can be a torn write: these superblocks are of about the same generation.  A crash
 * leaves such a copy; the next open rewrites it. */
static gboolean may_be_torn(const FormatSuperblock *raw, const FormatSuperblock *current)
{
	guint64 generation = generation_of(raw), now = generation_of(current);

	if (!looks_torn(raw, current))
		return FALSE;
	if (generation == now)
		return !memcmp(raw, current, SECTOR_SIZE);
	return generation + FORMAT_STAMPS_AHEAD >= now && generation <= now + FORMAT_STAMPS_AHEAD;
}

static gboolean is_same(const FormatSuperblock *raw, const FormatSuperblock *current)
{
	return !memcmp(raw, current, sizeof *raw);
}

static SuperblockState judge_other(const FormatSuperblock *raw, gboolean good,
				   const FormatSuperblock *current)
{
	guint64 generation = generation_of(raw), now = generation_of(current);

	if (good && is_same(raw, current))
		return SUPERBLOCK_SAME;
	if (good)
		return generation < now && generation + FORMAT_STAMPS_AHEAD >= now
			       ? SUPERBLOCK_LEFT
			       : SUPERBLOCK_DAMAGED;
	return may_be_torn(raw, current) ? SUPERBLOCK_LEFT : SUPERBLOCK_DAMAGED;
}

/* Crashes may leave a far copy of any generation, each of them the one before, and may tear it when
 * it is written for the first time.  But once both A and B are written, so was C before. */
static SuperblockState judge_far(const Copies *copies, guint copy, guint home)
{
	static const guint8 zeros[SECTOR_SIZE];
	const FormatSuperblock *current = &copies->raw[home], *raw = &copies->raw[copy];
	gboolean ended = is_same(&copies->raw[SUPERBLOCK_A], &copies->raw[SUPERBLOCK_B]);
	gboolean left = copies->good[copy]
				? generation_of(raw) < generation_of(current)
				: !memcmp(raw, zeros, sizeof zeros) || looks_torn(raw, current);

	if (is_same(raw, current))
		return SUPERBLOCK_SAME;
	return left && !(copy == SUPERBLOCK_C && ended) ? SUPERBLOCK_LEFT : SUPERBLOCK_DAMAGED;
}

/* Whether a copy that could not be loaded may be the newer one: a later format wrote it, or it
 * cannot be read at present.  To go on with the other copy could lose flushed writes (I1). */
static gboolean may_be_newer(const GError *problem)
{
	return problem && !g_error_matches(problem, STORAGEOS_ERROR, STORAGEOS_ERROR_CORRUPT);
}

/* The newest of the copies that were loaded, the first of equals; SUPERBLOCK_COPIES: none is valid.
 */
static guint find_newest(const Copies *copies)
{
	guint newest = SUPERBLOCK_COPIES;

	for (guint i = 0; i < SUPERBLOCK_COPIES; i++)
		if (copies->good[i] && (newest == SUPERBLOCK_COPIES ||
					copies->sb[i].generation > copies->sb[newest].generation))
			newest = i;
	return newest;
}

/* Loads A and B; *ret_sb is the newer, or, where both are damaged, the far one. */
static gboolean load_near(Backing *backing, Copies *copies, Superblock *ret_sb, GError **error)
{
	g_autoptr(GError) first = NULL, second = NULL, far = NULL;
	guint newest;

	load_copy(backing, NULL, SUPERBLOCK_A, copies, &first);
	load_copy(backing, NULL, SUPERBLOCK_B, copies, &second);
	newest = find_newest(copies);
	if (may_be_newer(first) || may_be_newer(second)) {
		g_propagate_error(error, g_steal_pointer(may_be_newer(first) ? &first : &second));
		return FALSE;
	}
	if (newest < SUPERBLOCK_COPIES) {
		*ret_sb = copies->sb[newest];
		return TRUE;
	}
	if (superblock_find_far(backing, ret_sb, &far))
		return TRUE;
	if (far)
		g_propagate_error(error, g_steal_pointer(&far));
	else if (has_volume_structures(backing))
		error_set(error, STORAGEOS_ERROR_CORRUPT, "%s: both superblocks are damaged",
			  backing->name);
	else
		g_propagate_error(error, g_steal_pointer(&first));
	return FALSE;
}

/* Loads C and D.  FALSE: C cannot be read, and only it might be as new as the lost one of A and B.
 */
static gboolean load_far(Backing *backing, const Superblock *sb, Copies *copies, GError **error)
{
	gboolean whole = copies->good[SUPERBLOCK_A] && copies->good[SUPERBLOCK_B];
	g_autoptr(GError) problem = NULL;

	for (guint i = SUPERBLOCK_C; i < SUPERBLOCK_COPIES; i++) {
		g_clear_error(&problem);
		if (load_copy(backing, sb, i, copies, &problem)) {
			copies->good[i] = copies->sb[i].seed == sb->seed;
		} else if (i == SUPERBLOCK_C && !whole && may_be_newer(problem)) {
			g_propagate_error(error, g_steal_pointer(&problem));
			return FALSE;
		}
	}
	return TRUE;
}

static void judge_copies(Backing *backing, const Copies *copies, SuperblockPair *pair)
{
	guint count = superblock_count(backing, &pair->current);

	for (guint i = 0; i < NEAR_COPIES; i++)
		pair->copies[i] =
			judge_other(&copies->raw[i], copies->good[i], &copies->raw[pair->home]);
	for (guint i = NEAR_COPIES; i < count; i++)
		pair->copies[i] = judge_far(copies, i, pair->home);
}

gboolean superblock_load(Backing *backing, SuperblockPair *ret_pair, GError **error)
{
	g_autofree Copies *copies = g_try_new0(Copies, 1);
	Superblock sb;
	guint home;

	if (!copies)
		return error_set_errno(error, ENOMEM, "%s: read superblocks", backing->name);
	if (!load_near(backing, copies, &sb, error) ||
	    (has_far_places(backing, &sb) && !load_far(backing, &sb, copies, error)))
		return FALSE;
	home = find_newest(copies);
	if (home == SUPERBLOCK_COPIES) /* a far one was there a moment ago */
		return error_set(error, STORAGEOS_ERROR_CORRUPT, "%s: both superblocks are damaged",
				 backing->name);
	*ret_pair = (SuperblockPair){.current = copies->sb[home], .home = home};
	judge_copies(backing, copies, ret_pair);
	return TRUE;
}

gboolean superblock_is_far(const SuperblockPair *pair)
{
	return pair->home >= NEAR_COPIES && pair->copies[SUPERBLOCK_A] == SUPERBLOCK_DAMAGED &&
	       pair->copies[SUPERBLOCK_B] == SUPERBLOCK_DAMAGED;
}

gboolean superblock_fits(Backing *backing, const Superblock *sb, GError **error)
{
	guint64 size = backing_size(backing);

	if (size >= sb->groups_offset)
		return TRUE;
	return error_set(error, STORAGEOS_ERROR_CORRUPT,
			 "%s: ends at byte %" G_GUINT64_FORMAT
			 ", before the journal does, at byte %" G_GUINT64_FORMAT
			 ": all blocks are gone",
			 backing->name, size, sb->groups_offset);
}

gboolean superblock_is_newest(const char *name, const Superblock *sb, guint64 group,
			      guint64 generation, GError **error)
{
	if (generation <= sb->generation + FORMAT_STAMPS_AHEAD)
		return TRUE;
	return error_set(error, STORAGEOS_ERROR_CORRUPT,
			 "%s: the superblocks are older (generation %" G_GUINT64_FORMAT
			 ") than the bitmap of group %" G_GUINT64_FORMAT " (%" G_GUINT64_FORMAT
			 "): a part of the backing is of another time",
			 name, sb->generation, group, generation);
}

static int write_copy(Backing *backing, const Superblock *sb, const FormatSuperblock *raw,
		      guint copy)
{
	return backing_pwrite(backing, raw, sizeof *raw, superblock_place(sb, copy));
}

static int write_durably(Backing *backing, const Superblock *sb, const FormatSuperblock *raw,
			 guint copy)
{
	return backing_write_durably(backing, raw, sizeof *raw, superblock_place(sb, copy));
}

int superblock_rewrite(Backing *backing, const SuperblockPair *pair)
{
	const Superblock *sb = &pair->current;
	FormatSuperblock raw;
	int r;

	superblock_encode(sb, &raw);
	r = write_copy(backing, sb, &raw, pair->home);
	if (!r && superblock_count(backing, sb) > NEAR_COPIES)
		r = write_copy(backing, sb, &raw, SUPERBLOCK_D);
	return r;
}

int superblock_store(Backing *backing, SuperblockPair *pair, const Superblock *next)
{
	guint first = pair->home == SUPERBLOCK_A ? SUPERBLOCK_B : SUPERBLOCK_A;
	FormatSuperblock raw;
	int r;

	/* I6: a load takes the copy with the highest generation. */
	if (!CHECKED(backing, next->generation > pair->current.generation,
		     "I6: the superblock's generation grows"))
		return -ESHUTDOWN;
	superblock_encode(next, &raw);
	r = write_durably(backing, next, &raw, first);
	if (r)
		return r;
	/* I6: this copy counts from now on, whatever happens to the others. */
	pair->home = first;
	pair->current = *next;
	if (superblock_count(backing, next) == NEAR_COPIES)
		return write_durably(backing, next, &raw, !first);
	r = write_durably(backing, next, &raw, SUPERBLOCK_C);
	if (!r)
		r = write_copy(backing, next, &raw, SUPERBLOCK_D);
	return r ? r : write_copy(backing, next, &raw, !first);
}

guint superblock_verify(Backing *backing, const SuperblockPair *pair, gboolean repair)
{
	const Superblock *sb = &pair->current;
	FormatSuperblock right, raw;
	guint mended = 0;

	superblock_encode(sb, &right);
	for (guint i = 0; i < superblock_count(backing, sb); i++)
		if (backing_pread(backing, &raw, sizeof raw, superblock_place(sb, i)) ||
		    !is_same(&raw, &right))
			mended += repair && !write_durably(backing, sb, &right, i);
	return mended;
}
