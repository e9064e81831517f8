/* SPDX-License-Identifier: Apache-2.0 */
#include "common/engine/superblock.h"
#include "common/engine/checked.h"

#include <errno.h>
#include <string.h>

static const guint64 homes[2] = {FORMAT_SUPERBLOCK_A, FORMAT_SUPERBLOCK_B};

static gboolean load_copy(Backing *backing, guint home, FormatSuperblock *raw, Superblock *ret_sb,
			  GError **error)
{
	int r = backing_pread(backing, raw, sizeof *raw, homes[home]);

	if (r == -ENXIO)
		return error_set(error, STORAGEOS_ERROR_CORRUPT, "%s: no storageos volume",
				 backing->name);
	if (r)
		return error_set_errno(error, r, "%s: read superblock %c", backing->name,
				       "AB"[home]);
	return superblock_decode(raw, ret_sb, backing->name, error);
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
	return has_magic(backing, homes[0], superblock) ||
	       has_magic(backing, homes[1], superblock) ||
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

/* Whether an invalid copy can be a torn write: each of its sectors can be from a superblock of this
 * volume of about the same generation.  A crash leaves such a copy; the next open rewrites it. */
static gboolean may_be_torn(const FormatSuperblock *raw, const FormatSuperblock *current)
{
	static const guint8 zeros[sizeof raw->reserved];
	guint64 generation = generation_of(raw), now = generation_of(current);

	if (memcmp(raw->magic, current->magic, sizeof raw->magic) ||
	    raw->version != current->version || raw->seed != current->seed ||
	    raw->groups_offset != current->groups_offset ||
	    raw->journal_size != current->journal_size ||
	    raw->logical_block_size != current->logical_block_size ||
	    memcmp(raw->reserved, zeros, sizeof zeros) || !properties_may_be_torn(raw))
		return FALSE;
	if (generation == now)
		return !memcmp(raw, current, SECTOR_SIZE);
	return generation + FORMAT_STAMPS_AHEAD >= now && generation <= now + FORMAT_STAMPS_AHEAD;
}

static SuperblockOther judge_other(const FormatSuperblock *raw, gboolean good,
				   const FormatSuperblock *current)
{
	guint64 generation = generation_of(raw), now = generation_of(current);

	if (good && !memcmp(raw, current, sizeof *raw))
		return SUPERBLOCK_SAME;
	if (good)
		return generation < now && generation + FORMAT_STAMPS_AHEAD >= now
			       ? SUPERBLOCK_LEFT
			       : SUPERBLOCK_DAMAGED;
	return may_be_torn(raw, current) ? SUPERBLOCK_LEFT : SUPERBLOCK_DAMAGED;
}

/* Whether a copy that could not be loaded may be the newer one: a later format wrote it, or it
 * cannot be read at present.  To go on with the other copy could lose flushed writes (I1). */
static gboolean may_be_newer(const GError *problem)
{
	return problem && !g_error_matches(problem, STORAGEOS_ERROR, STORAGEOS_ERROR_CORRUPT);
}

gboolean superblock_load(Backing *backing, SuperblockPair *ret_pair, GError **error)
{
	g_autoptr(GError) first = NULL, second = NULL;
	FormatSuperblock raw[2] = {0};
	Superblock sb[2];
	gboolean good[2] = {load_copy(backing, 0, &raw[0], &sb[0], &first),
			    load_copy(backing, 1, &raw[1], &sb[1], &second)};
	guint home;

	if (!good[0] && !good[1] && !may_be_newer(first) && !may_be_newer(second) &&
	    has_volume_structures(backing))
		return error_set(error, STORAGEOS_ERROR_CORRUPT, "%s: both superblocks are damaged",
				 backing->name);
	if (may_be_newer(first) || (!good[0] && !good[1] && !may_be_newer(second))) {
		g_propagate_error(error, g_steal_pointer(&first));
		return FALSE;
	}
	if (may_be_newer(second)) {
		g_propagate_error(error, g_steal_pointer(&second));
		return FALSE;
	}
	home = good[1] && (!good[0] || sb[1].generation > sb[0].generation);
	ret_pair->home = home;
	ret_pair->current = sb[home];
	ret_pair->other = judge_other(&raw[!home], good[!home], &raw[home]);
	return TRUE;
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

int superblock_rewrite(Backing *backing, const SuperblockPair *pair)
{
	FormatSuperblock raw;

	superblock_encode(&pair->current, &raw);
	return backing_pwrite(backing, &raw, sizeof raw, homes[pair->home]);
}

static int write_durably(Backing *backing, const FormatSuperblock *raw, guint home)
{
	return backing_write_durably(backing, raw, sizeof *raw, homes[home]);
}

int superblock_store(Backing *backing, SuperblockPair *pair, const Superblock *next)
{
	FormatSuperblock raw;
	int r;

	/* I6: a load takes the copy with the higher generation. */
	if (!CHECKED(backing, next->generation > pair->current.generation,
		     "I6: the superblock's generation grows"))
		return -ESHUTDOWN;
	superblock_encode(next, &raw);
	r = write_durably(backing, &raw, !pair->home);
	if (r)
		return r;
	/* I6: this copy counts from now on, whatever happens to the other. */
	pair->home = !pair->home;
	pair->current = *next;
	return write_durably(backing, &raw, !pair->home);
}

guint superblock_verify(Backing *backing, const SuperblockPair *pair, gboolean repair)
{
	FormatSuperblock right, raw;
	guint mended = 0;

	superblock_encode(&pair->current, &right);
	for (guint home = 0; home < G_N_ELEMENTS(homes); home++)
		if (backing_pread(backing, &raw, sizeof raw, homes[home]) ||
		    memcmp(&raw, &right, sizeof raw))
			mended += repair && !write_durably(backing, &right, home);
	return mended;
}
