/* SPDX-License-Identifier: Apache-2.0 */
#include "common/engine/superblock-far.h"

#include <errno.h>
#include <string.h>

#include "common/engine/journal-ring.h"

#define PROOFS 8u /* of what looks like far copies: data may, too */

guint64 superblock_place(const Superblock *sb, guint copy)
{
	static const guint64 places[SUPERBLOCK_COPIES] = {FORMAT_SUPERBLOCK_A, FORMAT_SUPERBLOCK_B,
							  (guint64)FORMAT_FAR_C * FORMAT_SLOT_SIZE,
							  (guint64)FORMAT_FAR_D * FORMAT_SLOT_SIZE};

	return places[copy] + (copy < SUPERBLOCK_C ? 0 : sb->groups_offset);
}

/* The place of a far copy for a journal of that size. */
static guint64 place_for(guint64 journal_size, guint copy)
{
	const Superblock sb = {.groups_offset = FORMAT_JOURNAL_OFFSET + journal_size};

	return superblock_place(&sb, copy);
}

static gboolean has_places(Backing *backing, guint64 journal_size)
{
	return journal_size <= FORMAT_JOURNAL_MAX &&
	       place_for(journal_size, SUPERBLOCK_C) + FORMAT_SUPERBLOCK_SIZE <=
		       backing_size(backing);
}

static gboolean read_copy(Backing *backing, guint64 journal_size, guint copy, Superblock *ret_sb)
{
	FormatSuperblock raw;

	return !backing_pread(backing, &raw, sizeof raw, place_for(journal_size, copy)) &&
	       superblock_decode(&raw, ret_sb, backing->name, NULL) &&
	       ret_sb->journal_size == journal_size && ret_sb->groups &&
	       (ret_sb->ro_compatible & FORMAT_RO_FAR_COPIES);
}

/* The newer of C and D. */
static gboolean read_newer(Backing *backing, guint64 journal_size, Superblock *ret_sb)
{
	gboolean found = read_copy(backing, journal_size, SUPERBLOCK_C, ret_sb);
	Superblock sb;

	if (!read_copy(backing, journal_size, SUPERBLOCK_D, &sb) ||
	    (found && sb.generation <= ret_sb->generation))
		return found;
	*ret_sb = sb;
	return TRUE;
}

typedef struct {
	guint64 records, newest; /* how many there are; the highest generation */
} Evidence;

static gboolean visit_record(const Record *record, gpointer data)
{
	Evidence *evidence = data;

	evidence->records++;
	evidence->newest = MAX(evidence->newest, record->generation);
	return TRUE;
}

static gboolean is_proven(Backing *backing, const Superblock *sb)
{
	const Seal seal = {sb->seed};
	g_autoptr(JournalRing) ring = NULL;
	Evidence evidence = {0};

	if (journal_ring_read(backing, sb, &seal, &ring))
		return FALSE;
	journal_ring_scan(ring, 0, visit_record, &evidence);
	return evidence.records && evidence.newest <= sb->generation + FORMAT_STAMPS_AHEAD;
}

gboolean superblock_find_far(Backing *backing, Superblock *ret_sb, GError **error)
{
	guint found = 0, proven = 0;
	Superblock sb;

	for (guint64 size = FORMAT_JOURNAL_MIN; has_places(backing, size) && found < PROOFS;
	     size += FORMAT_JOURNAL_UNIT) {
		if (!read_newer(backing, size, &sb))
			continue;
		found++;
		if (is_proven(backing, &sb)) {
			proven++;
			*ret_sb = sb;
		}
	}
	if (proven == 1 || !found)
		return proven == 1;
	return error_set(error, STORAGEOS_ERROR_CORRUPT, "%s: both superblocks are damaged, and %s",
			 backing->name,
			 proven ? "there are far copies of two volumes"
				: "the journal does not prove that their far copy is the newest");
}

static int wipe(Backing *backing, guint64 offset)
{
	static const guint8 zeros[FORMAT_SUPERBLOCK_SIZE];
	guint8 magic[sizeof FORMAT_MAGIC - 1];
	int r = backing_pread(backing, magic, sizeof magic, offset);

	if (r || memcmp(magic, FORMAT_MAGIC, sizeof magic))
		return r;
	return backing_pwrite(backing, zeros, sizeof zeros, offset);
}

int superblock_wipe_far(Backing *backing)
{
	int r = 0;

	for (guint64 size = FORMAT_JOURNAL_MIN; has_places(backing, size) && !r;
	     size += FORMAT_JOURNAL_UNIT) {
		r = wipe(backing, place_for(size, SUPERBLOCK_C));
		if (!r)
			r = wipe(backing, place_for(size, SUPERBLOCK_D));
	}
	return r;
}
