/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 1. Walks the map from its root and claims every slot that the map refers to, in a bitmap in
 *    memory.  A slot that is claimed twice is a finding.
 * 2. Compares the claimed slots of each group with the group's bitmap on disk.
 * 3. Walks the journal's records by the rule of recovery (journal-rule.h).  They claim their slots,
 *    too.
 */
#include "common/base/bounds.h"
#include "common/check/check-private.h"

#include <errno.h>

/* Reports that one copy is damaged of a structure whose other copy is whole. */
static void G_GNUC_PRINTF(2, 3) report_copy(Check *check, const char *format, ...)
{
	g_autofree char *what = NULL;
	va_list args;

	va_start(args, format);
	what = g_strdup_vprintf(format, args);
	va_end(args);
	findings_add(check->found, "%s: damaged; nothing is lost", what);
	check->result->copies++;
}

/* Lists blocks [first, first + n), as far as the volume goes, as lost. */
static void lose_blocks(Check *check, guint64 first, guint64 n)
{
	GArray *lost = check->result->lost;
	CheckRange range = {first, min_u64(first + n, blocks_covering(check->sb->size))};
	CheckRange *last = lost->len ? &g_array_index(lost, CheckRange, lost->len - 1) : NULL;

	if (last && last->end == first)
		last->end = range.end;
	else if (lost->len < CHECK_RANGES)
		g_array_append_val(lost, range);
}

/* Lists all blocks below a node as lost. */
static void lose_node(Check *check, guint level, guint64 index)
{
	guint shift = node_shift(check->layout, level);
	CheckRange range = {index << shift,
			    min_u64((index + 1) << shift, blocks_covering(check->sb->size))};

	lose_blocks(check, range.first, range.end - range.first);
	if (check->lost_below->len < CHECK_RANGES)
		g_array_append_val(check->lost_below, range);
}

static guint64 slot_offset(const Check *check, guint64 slot)
{
	return check->sb->groups_offset + slot * FORMAT_SLOT_SIZE;
}

/* Claims a slot (I5).  FALSE, with a finding, if the slot does not exist (I9: the disk names it) or
 * was claimed before. */
static gboolean claim_slot(Check *check, guint64 slot, const char *what, guint64 where)
{
	guint64 bit = slot_index(slot) - FORMAT_FIRST_INDEX, group = slot_group(slot);
	guint8 mask = (guint8)(1u << (bit % 8)), *byte;

	if (!slot_is_usable(slot, check->n_places) || !check->groups[group]) {
		findings_add_one(check->found, what, where, slot, "does not exist");
		check->refused++;
		return FALSE;
	}
	byte = &check->groups[group]->claimed[bit / 8];
	if (*byte & mask) {
		findings_add_one(check->found, what, where, slot, "used twice");
		check->refused++;
		return FALSE;
	}
	*byte |= mask;
	check->claimed++;
	if (check->progress && check->claimed % 4096 == 0)
		check->progress((double)check->claimed / (double)MAX(check->used, 1), check->data);
	return TRUE;
}

/* Reads `n` neighbouring slots and verifies them as blocks [block, block + n). */
static void verify_blocks(Check *check, guint64 block, guint64 slot, guint n, const guint32 *crcs)
{
	int r = backing_pread(check->backing, check->buffer, (gsize)n * BLOCK_SIZE,
			      slot_offset(check, slot));

	check->result->blocks += n;
	if (r) {
		for (guint i = 0; i < n; i++)
			findings_add_one(check->found, "block", block + i, slot + i,
					 g_strerror(-r));
		lose_blocks(check, block, n);
		return;
	}
	for (guint i = 0; i < n; i++) {
		if (seal_block_fits(&check->seal, block + i, check->buffer + i * BLOCK_SIZE,
				    crcs[i]))
			continue;
		findings_add_one(check->found, "block", block + i, slot + i, "checksum mismatch");
		lose_blocks(check, block + i, 1);
	}
}

/* Reads and verifies one copy of a node.  0; -EBADMSG: its checksum does not match; or why it
 * cannot be read. */
static int read_copy(Check *check, guint level, guint64 index, guint64 slot, guint32 crc,
		     FormatNode *node)
{
	int r = backing_pread(check->backing, node, sizeof *node, slot_offset(check, slot));

	if (!r && !seal_node_fits(&check->seal, level, index, node, crc))
		r = -EBADMSG;
	return r;
}

/* "node 1/0 (slot 17), over blocks 0-65535" */
static char *name_node(const Check *check, guint level, guint64 index, guint64 slot)
{
	guint shift = node_shift(check->layout, level);

	return g_strdup_printf("node %u/%" G_GUINT64_FORMAT " (slot %" G_GUINT64_FORMAT
			       "), over blocks %" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT,
			       level, index, slot, index << shift, ((index + 1) << shift) - 1);
}

/* Reports a node of which one copy is damaged, and notes it for repair. */
static void note_copy(Check *check, const CheckCopy *copy)
{
	g_autofree char *name = name_node(check, copy->level, copy->index, copy->damaged);

	report_copy(check, "%s", name);
	g_array_append_vals(check->copies, copy, 1);
}

/* Reads a node, both copies of an inner node.  FALSE, with a finding, if no copy is whole. */
static gboolean read_node(Check *check, guint level, guint64 index, const MapEntry *entry,
			  FormatNode *node)
{
	CheckCopy pair = {entry->slot, entry->slot + FORMAT_COPY_DISTANCE, level, index};
	int r = read_copy(check, level, index, pair.whole, entry->crc, node), other = r;
	g_autofree char *name = NULL;

	if (level)
		other = read_copy(check, level, index, pair.damaged, entry->crc, &check->copy);
	check->result->nodes++;
	if (r && !other) {
		pair = (CheckCopy){pair.damaged, pair.whole, level, index};
		*node = check->copy;
	}
	if (!r != !other)
		note_copy(check, &pair);
	if (!r || !other)
		return TRUE;
	name = name_node(check, level, index, entry->slot);
	findings_add(check->found, "%s: %s%s", name,
		     r == -EBADMSG ? "checksum mismatch" : g_strerror(-r),
		     level ? ", and its copy is damaged, too" : "");
	return FALSE;
}

/* Claims the slot of a leaf, or both slots of an inner node.  FALSE, with a finding, if one of them
 * cannot be the node's. */
static gboolean claim_node(Check *check, guint level, guint64 index, guint64 slot)
{
	guint64 block = index << node_shift(check->layout, level);

	if (level && !slot_has_copy(slot)) {
		findings_add_one(check->found, "node over block", block, slot,
				 "no place for a node with a copy");
		return FALSE;
	}
	return claim_slot(check, slot, "node over block", block) &&
	       (!level || claim_slot(check, slot + FORMAT_COPY_DISTANCE,
				     "copy of the node over block", block));
}

/* Claims the slots that a leaf points to, and verifies its blocks unless they are dead.
 * Neighbouring slots are read together. */
static void check_leaf(Check *check, guint64 index, const FormatNode *leaf, gboolean dead)
{
	guint32 crcs[FORMAT_POINTERS_MAX];
	guint64 block = index << check->layout.shift, start = 0, slot = 0;
	guint n = 0;

	for (guint i = 0; i < node_pointers(check->layout); i++) {
		MapEntry e = entry_at(check->layout, leaf, i);
		gboolean good = e.slot && claim_slot(check, e.slot, "block", block + i);

		check->data_slots += e.slot != 0;
		check->result->dead_blocks += e.slot && dead;
		if (e.slot && block + i >= blocks_covering(check->sb->size))
			findings_add_one(check->found, "block", block + i, 0,
					 "lies behind the volume's end");
		if (e.slot && e.birth > check->sb->checkpoint)
			findings_add_one(check->found, "block", block + i, e.slot,
					 "born after the checkpoint");
		good = good && !dead;
		if (n && (!good || e.slot != slot + n)) {
			verify_blocks(check, start, slot, n, crcs);
			n = 0;
		}
		if (!good)
			continue;
		if (!n) {
			start = block + i;
			slot = e.slot;
		}
		crcs[n++] = e.crc;
	}
	if (n)
		verify_blocks(check, start, slot, n, crcs);
}

/* Checks the node that `entry` points to and all that is below it.  `dead`: a pointer above it is
 * dead. */
static void check_node(Check *check, guint level, guint64 index, MapEntry entry, gboolean dead)
{
	FormatNode *node = &check->nodes[level];

	if (!entry.slot || !claim_node(check, level, index, entry.slot))
		return;
	check->node_slots += level ? 2 : 1;
	dead = dead || entry.dead;
	if (!read_node(check, level, index, &entry, node)) {
		check->lost_nodes++;
		if (!dead)
			lose_node(check, level, index);
		return;
	}
	if (level == 0) {
		check_leaf(check, index, node, dead);
		return;
	}
	for (guint i = 0; i < node_pointers(check->layout); i++)
		check_node(check, level - 1, index << check->layout.shift | i,
			   entry_at(check->layout, node, i), dead);
}

/* Reads all copies of a group's bitmap pages and keeps the page that counts. */
static int load_group(Check *check, guint64 number)
{
	BitmapPlace place = {check->backing, check->sb->groups_offset, &check->seal};
	g_autofree BitmapChoice *choice = g_try_new(BitmapChoice, 1);
	CheckGroup *group = g_try_new0(CheckGroup, 1);
	int r = choice && group ? 0 : -ENOMEM;

	check->groups[number] = group;
	if (!r)
		r = bitmap_choose(&place, number, check->sb->checkpoint, TRUE, choice);
	if (r)
		return r;
	if (!choice->found)
		findings_add_one(check->found, "bitmap of group", number, 0, "no copy is valid");
	for (guint copy = 0; copy < 2; copy++)
		if (choice->damaged & 1u << copy)
			report_copy(check, "bitmap of group %" G_GUINT64_FORMAT ", copy %u", number,
				    copy + 1);
	check->digest += choice->term;
	if (choice->newest > check->newest) {
		check->newest = choice->newest;
		check->newest_at = number;
	}
	group->disk = choice->page;
	group->found = choice->found;
	group->home = choice->home;
	group->damaged = choice->damaged;
	for (guint i = 0; i < FORMAT_BITMAP_BITS / 8; i++)
		check->used += (guint)__builtin_popcount(group->disk.bits[i]);
	return 0;
}

/* How many groups can have a bitmap page within the backing.  The last of them may lie behind the
 * backing's end: the copies of its pages are in the group before. */
static guint64 groups_in_backing(const Check *check)
{
	guint64 size = backing_size(check->backing), from = check->sb->groups_offset;

	return MIN(size > from ? (size - from) / FORMAT_GROUP_BYTES + 2 : 1, FORMAT_GROUPS_MAX);
}

static int load_groups(Check *check)
{
	guint64 n = groups_in_backing(check);
	int r = 0;

	check->groups = g_try_new0(CheckGroup *, n);
	if (!check->groups)
		return -ENOMEM;
	check->n_places = n;
	check->n_groups = MIN(check->sb->groups, n);
	if (check->n_groups < check->sb->groups) {
		check->refused++;
		findings_add(check->found,
			     "the backing ends before group %" G_GUINT64_FORMAT
			     " of %" G_GUINT64_FORMAT,
			     check->n_groups, check->sb->groups);
	}
	for (guint64 g = 0; g < check->n_groups && !r; g++)
		r = load_group(check, g);
	if (!r && check->digest != check->sb->bitmap_digest)
		findings_add(check->found, "a bitmap page is not the one of the checkpoint");
	return r;
}

/* Reports each of the bits [bit, bit + 8) in which a group's bitmap and the map disagree. */
static void compare_byte(Check *check, guint64 number, guint bit)
{
	CheckGroup *group = check->groups[number];
	guint used = group->disk.bits[bit / 8], wrong = used ^ group->claimed[bit / 8];
	guint64 slot = (number << FORMAT_GROUP_SHIFT) + FORMAT_FIRST_INDEX + bit;

	for (; wrong; wrong >>= 1, used >>= 1, slot++) {
		if (!(wrong & 1))
			continue;
		group->leaked += used & 1;
		group->missing += !(used & 1);
		findings_add_one(check->slots_found, "slot", slot, 0,
				 used & 1 ? "in use by the bitmap, but nothing refers to it"
					  : "free by the bitmap, but the map refers to it");
	}
}

/* Reports slots that the map has and the bitmap on disk does not, and the reverse (I5). */
static void compare_groups(Check *check)
{
	for (guint64 g = 0; g < check->n_groups; g++) {
		CheckGroup *group = check->groups[g];

		memcpy(group->mapped, group->claimed, sizeof group->mapped);
		for (guint bit = 0; bit < FORMAT_BITMAP_BITS; bit += 8)
			if (group->disk.bits[bit / 8] != group->claimed[bit / 8])
				compare_byte(check, g, bit);
	}
	check->result->used_slots = check->used;
	check->result->free_slots = check->n_groups * FORMAT_BITMAP_BITS - check->used;
}

/* Whether replay of the record would have to read a lost node.  It would where the record changes
 * blocks below the node.  It would not where the record zeroes all of them: then the pointer to the
 * node is dropped, unless the node is the root. */
static gboolean is_stuck(Check *check, const Record *record)
{
	guint64 end = record->first + record->blocks;
	guint64 blocks = blocks_covering(check->sb->size);

	for (guint i = 0; i < check->lost_below->len; i++) {
		CheckRange *range = &g_array_index(check->lost_below, CheckRange, i);

		if (record->first >= range->end || end <= range->first)
			continue;
		if (record->kind != FORMAT_RECORD_ZERO || record->first > range->first ||
		    end < range->end || range->end - range->first == blocks)
			return TRUE;
		range->end = range->first; /* later records find a hole there */
	}
	return FALSE;
}

/* Claims the slots of a record.  They may be in groups that were added after the checkpoint. */
static gboolean claim_runs(Check *check, const Record *record)
{
	for (guint i = 0; i < record->n_runs; i++) {
		const SlotRun *run = &record->runs[i];
		CheckGroup **group = &check->groups[slot_group(run->slot)];

		if (!*group && !(*group = g_try_new0(CheckGroup, 1)))
			check->problem = -ENOMEM;
		for (guint32 j = 0; j < run->count && !check->problem; j++)
			if (!claim_slot(check, run->slot + j, "journal record", record->sequence))
				check->stuck = "names slots that are in use";
	}
	return !check->problem && !check->stuck;
}

/* Whether the payload of a record that counts is whole.  journal_rule_judge() has read the payload
 * only if the record is behind the durable-mark. */
static gboolean payload_is_whole(Check *check, const Record *record)
{
	if (record->sequence < check->rule.durable)
		return journal_rule_read_payload(&check->rule, record);
	for (guint i = 0; i < record->n_runs; i++)
		if (check->rule.results[i])
			return FALSE;
	return TRUE;
}

static void report_record(Check *check, const Record *record, const char *what)
{
	findings_add(check->found,
		     "journal record %" G_GUINT64_FORMAT " of blocks %" G_GUINT64_FORMAT
		     "-%" G_GUINT64_FORMAT ": %s",
		     record->sequence, record->first, record->first + record->blocks - 1, what);
}

/* Checks a record that counts: its payload, and its slots.  FALSE: it cannot be replayed. */
static gboolean check_record(Check *check, const Record *record)
{
	gboolean whole = payload_is_whole(check, record);

	if (is_stuck(check, record)) {
		check->stuck = "changes blocks under a node that is lost";
		report_record(check, record, "the map's node over them is lost");
		return FALSE;
	}
	if (!whole) {
		lose_blocks(check, record->first, record->blocks);
		report_record(check, record,
			      record->sequence < check->rule.durable ? "flushed payload is damaged"
								     : "payload cannot be read");
	}
	if (!claim_runs(check, record))
		return FALSE;
	check->result->records++;
	check->result->blocks += record->kind == FORMAT_RECORD_WRITE ? record->blocks : 0;
	return TRUE;
}

/* FALSE at the first record that recovery would not replay. */
static gboolean visit_record(const Record *record, gpointer data)
{
	Check *check = data;
	JournalVerdict verdict = journal_rule_judge(&check->rule, record);

	if (verdict == JOURNAL_OUT_OF_BOUNDS && record->sequence < check->rule.durable)
		findings_add(check->found,
			     "journal record %" G_GUINT64_FORMAT
			     ": it was flushed, and names blocks or slots that are not there",
			     record->sequence);
	if (verdict != JOURNAL_COUNTS)
		return FALSE;
	return (record->kind != FORMAT_RECORD_WRITE && record->kind != FORMAT_RECORD_ZERO) ||
	       check_record(check, record);
}

static void check_marks(Check *check, JournalRing *ring)
{
	check->marks = journal_ring_damaged_marks(ring, check->sb->clean);
	for (guint i = 0; i < FORMAT_MARKS; i++)
		if (check->marks & 1u << i)
			report_copy(check, "durable-mark, copy %u", i + 1);
	if (check->marks & 1u << FORMAT_MARKS)
		report_copy(check, "the checkpoint's mark");
}

static int check_journal(Check *check)
{
	g_autoptr(JournalRing) ring = NULL;
	int r = journal_ring_read(check->backing, check->sb, &check->seal, &ring);

	if (r)
		return r;
	check_marks(check, ring);
	check->end = journal_rule_init(&check->rule, check->backing, check->sb, &check->seal, ring,
				       check->buffer, &check->cut_short);
	if (!check->cut_short)
		check->end = journal_ring_walk(ring, visit_record, check, NULL);
	check->cut_short =
		check->cut_short || journal_rule_is_loss(&check->rule, check->end) || check->stuck;
	if (check->cut_short && !check->stuck)
		findings_add(check->found,
			     "journal record %" G_GUINT64_FORMAT ": it was flushed, and is damaged",
			     check->end.sequence);
	if (check->sb->clean && check->result->records)
		findings_add(check->found,
			     "the journal has records though the volume was closed in order");
	return check->problem;
}

static int check_all(Check *check)
{
	const Superblock *sb = check->sb;

	if (check->pair.other == SUPERBLOCK_DAMAGED)
		report_copy(check, "superblock %c", "BA"[check->pair.home]);
	check_node(check, sb->levels - 1, 0, sb->map_root, FALSE);
	compare_groups(check);
	if (check->data_slots != sb->data_slots || check->node_slots != sb->node_slots)
		findings_add(check->found,
			     "the superblock counts %" G_GUINT64_FORMAT
			     " blocks and %" G_GUINT64_FORMAT
			     " nodes, the map has %" G_GUINT64_FORMAT " and %" G_GUINT64_FORMAT,
			     sb->data_slots, sb->node_slots, check->data_slots, check->node_slots);
	check->result->metadata_slots = check->node_slots;
	check->result->generation = sb->checkpoint;
	check->result->clean = sb->clean;
	return check_journal(check);
}

/* Puts the findings about single slots behind all others, and makes them the result's. */
static void end_findings(Check *check)
{
	CheckResult *result = check->result;

	findings_move(check->slots_found, check->found);
	result->errors = check->found->count;
	result->messages = g_ptr_array_ref(check->found->lines);
}

static CheckResult *result_new(void)
{
	CheckResult *result = g_new0(CheckResult, 1);

	result->lost = g_array_new(FALSE, FALSE, sizeof(CheckRange));
	return result;
}

static Check *check_new(Backing *backing)
{
	g_autofree guint8 *buffer = g_try_malloc(JOURNAL_PAYLOAD_MAX);
	Check *check = buffer ? g_try_new0(Check, 1) : NULL;

	if (!check)
		return NULL;
	check->backing = backing;
	check->buffer = g_steal_pointer(&buffer);
	check->result = result_new();
	check->found = findings_new();
	check->slots_found = findings_new();
	check->copies = g_array_new(FALSE, FALSE, sizeof(CheckCopy));
	check->lost_below = g_array_new(FALSE, FALSE, sizeof(CheckRange));
	check->sb = &check->pair.current;
	return check;
}

void check_free(Check *check)
{
	if (!check)
		return;
	for (guint64 g = 0; g < check->n_places; g++)
		g_free(check->groups[g]);
	g_free(check->groups);
	g_array_unref(check->copies);
	g_array_unref(check->lost_below);
	check_result_free(check->result);
	findings_free(check->found);
	findings_free(check->slots_found);
	g_free(check->buffer);
	g_free(check);
}

/* UNSUPPORTED if a later version wrote the volume: slots may belong to what this one does not know,
 * and would seem to be leaked. */
static gboolean knows_all_owners(const Check *check, GError **error)
{
	return !(check->sb->ro_compatible & ~FORMAT_RO_COMPATIBLE_KNOWN) ||
	       error_set(error, STORAGEOS_ERROR_UNSUPPORTED,
			 "%s: has features that allow this program reading only; a newer "
			 "storageos can check it",
			 check->backing->name);
}

Check *check_walk(Backing *backing, gboolean exclusive, CheckProgress progress, gpointer data,
		  GError **error)
{
	g_autoptr(Check) check = check_new(backing);
	int r;

	if (!check) {
		error_set_errno(error, ENOMEM, "%s: check", backing->name);
		return NULL;
	}
	check->progress = progress;
	check->data = data;
	if (!backing_lock(backing, exclusive, error) ||
	    !superblock_load(backing, &check->pair, error) ||
	    !superblock_fits(backing, check->sb, error) || !knows_all_owners(check, error))
		return NULL;
	check->layout = superblock_layout(check->sb);
	check->seal = (Seal){check->sb->seed};
	r = load_groups(check);
	if (!superblock_is_newest(backing->name, check->sb, check->newest_at, check->newest, error))
		return NULL;
	if (!r)
		r = check_all(check);
	if (r) {
		error_set_errno(error, r, "%s: check", backing->name);
		return NULL;
	}
	end_findings(check);
	return g_steal_pointer(&check);
}

CheckResult *check_run(Backing *backing, CheckProgress progress, gpointer data, GError **error)
{
	g_autoptr(Check) check = check_walk(backing, FALSE, progress, data, error);

	return check ? g_steal_pointer(&check->result) : NULL;
}

void check_result_free(CheckResult *result)
{
	if (!result)
		return;
	if (result->messages) /* NULL if the check failed */
		g_ptr_array_unref(result->messages);
	g_array_unref(result->lost);
	g_free(result);
}
