/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of the writes:
 *
 * 1. Damaged copies, in place.
 * 2. A superblock of a generation FORMAT_STAMPS_AHEAD (2) higher, as an open writes it.  It
 * reserves the generation that follows, which no page on the disk has.
 * 3. A new snapshot table, into free slots, and bitmap pages of that generation, into the homes
 * that do not count.
 * 4. A superblock of that generation.  From now on these pages count.
 *
 * Each step is durable before the next begins.  After a crash between any two steps one checkpoint
 * is whole (I6).
 */
#include "common/check/repair.h"

#include <errno.h>

#include "common/base/bounds.h"
#include "common/check/repair-table.h"
#include "common/base/error.h"

struct RepairWork {
	Check *check;
	gboolean superblock; /* one copy of it is damaged */
	gboolean pages;	     /* bitmaps are to be rebuilt from the map */
	gboolean table;	     /* the snapshot table is to be written anew */
	gboolean cut;	     /* the journal is to end at check->end */
	RepairTable new_table;
};

static void G_GNUC_PRINTF(2, 3) add_line(GPtrArray *lines, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	g_ptr_array_add(lines, g_strdup_vprintf(format, args));
	va_end(args);
}

/* ---- planning */

/* Whether a group's bitmap on disk disagrees with the map. */
static gboolean page_differs(const CheckGroup *group)
{
	return !group->found || memcmp(group->disk.bits, group->mapped, sizeof group->mapped);
}

static void plan_copies(RepairPlan *plan)
{
	const Check *check = plan->work->check;

	plan->work->superblock = check->pair.other == SUPERBLOCK_DAMAGED;
	if (plan->work->superblock)
		add_line(plan->actions, "rewrite superblock %c from %c", "BA"[check->pair.home],
			 "AB"[check->pair.home]);
	if (check->marks)
		add_line(plan->actions, "rewrite the durable-marks beside the journal");
	for (guint i = 0; i < check->copies->len; i++) {
		const CheckCopy *copy = &g_array_index(check->copies, CheckCopy, i);

		g_autofree char *name = check_name_node(copy->level, copy->index);

		add_line(plan->actions,
			 "rewrite %s in slot %" G_GUINT64_FORMAT " from slot %" G_GUINT64_FORMAT,
			 name, copy->damaged, copy->whole);
	}
	for (guint64 g = 0; g < check->n_groups; g++)
		for (guint copy = 0; copy < 2; copy++)
			if (check->groups[g]->damaged >> copy & 1)
				add_line(
					plan->actions,
					"rewrite copy %u of the bitmap of group %" G_GUINT64_FORMAT,
					copy + 1, g);
}

/* Whether an open would accept the bitmaps as they are on disk. */
static gboolean bitmaps_are_loadable(const Check *check)
{
	for (guint64 g = 0; g < check->n_groups; g++)
		if (!check->groups[g]->found)
			return FALSE;
	return check->n_groups == check->sb->groups && check->digest == check->sb->bitmap_digest;
}

static gboolean bitmaps_are_wrong(const Check *check)
{
	for (guint64 g = 0; g < check->n_groups; g++)
		if (page_differs(check->groups[g]))
			return TRUE;
	return check->digest != check->sb->bitmap_digest ||
	       check->data_slots != check->sb->data_slots ||
	       check->node_slots != check->sb->node_slots || !check_head_counts_fit(check);
}

/* FALSE: there is no space for the new table. */
static gboolean plan_table(RepairPlan *plan)
{
	Check *check = plan->work->check;

	if (!repair_table_is_wrong(check))
		return TRUE;
	if (!repair_table_place(&plan->work->new_table, check)) {
		add_line(plan->left, "there is no free space for a new snapshot table");
		return FALSE;
	}
	plan->work->table = TRUE;
	for (guint i = 0; i < check->given_up->len; i++)
		add_line(plan->actions, "give up snapshot '%s'",
			 (char *)g_ptr_array_index(check->given_up, i));
	add_line(plan->actions, "rewrite the snapshot table");
	return TRUE;
}

static void plan_bitmaps(RepairPlan *plan)
{
	const Check *check = plan->work->check;

	if (check->refused)
		add_line(plan->left, "%" G_GUINT64_FORMAT " slots are used twice or do not exist",
			 check->refused);
	if (check->lost_nodes)
		add_line(plan->left, "%" G_GUINT64_FORMAT " nodes of the map are lost",
			 check->lost_nodes);
	if (check->lost_records)
		add_line(plan->left,
			 "%" G_GUINT64_FORMAT " records of the snapshot table are invalid",
			 check->lost_records);
	if (!bitmaps_are_wrong(check) && !repair_table_is_wrong(check))
		return;
	if (check->lost_nodes || check->lost_records || check->refused) {
		add_line(plan->left, "the bitmaps cannot be rebuilt from a damaged map%s",
			 bitmaps_are_loadable(check) ? "" : ": the volume cannot be opened");
		return;
	}
	if (!plan_table(plan))
		return;
	plan->work->pages = TRUE;
	add_line(plan->actions, "rewrite the superblock's digest and counts");
	for (guint64 g = 0; g < check->n_groups; g++)
		if (page_differs(check->groups[g]))
			add_line(plan->actions,
				 "rebuild the bitmap of group %" G_GUINT64_FORMAT
				 " from the map: %" G_GUINT64_FORMAT
				 " slots leaked, %" G_GUINT64_FORMAT " missing%s",
				 g, check->groups[g]->leaked, check->groups[g]->missing,
				 check->groups[g]->found ? "" : ", both pages are damaged");
}

static gboolean tell_record(const Record *record, gpointer data)
{
	if (record->kind == FORMAT_RECORD_WRITE || record->kind == FORMAT_RECORD_ZERO)
		add_line(data,
			 "record %" G_GUINT64_FORMAT ": %s of bytes %" G_GUINT64_FORMAT
			 "-%" G_GUINT64_FORMAT,
			 record->sequence,
			 record->kind == FORMAT_RECORD_WRITE ? "write" : "discard",
			 blocks_to_bytes(record->first),
			 blocks_to_bytes(record->first + record->blocks) - 1);
	return TRUE;
}

static gboolean plan_journal(RepairPlan *plan, RepairFlags flags, GError **error)
{
	Check *check = plan->work->check;
	g_autoptr(JournalRing) ring = NULL;
	int r;

	if (!check->cut_short)
		return TRUE;
	plan->may_cut = !(flags & REPAIR_CUT_JOURNAL);
	r = journal_ring_read(check->backing, check->sb, &check->seal, &ring);
	if (r)
		return error_set_errno(error, r, "%s: read the journal", check->backing->name);
	journal_ring_scan(ring, check->end.sequence - 1, tell_record, plan->given_up);
	if (plan->may_cut) {
		add_line(plan->left,
			 "journal record %" G_GUINT64_FORMAT " %s: the volume cannot be opened",
			 check->end.sequence,
			 check->stuck ? check->stuck : "was flushed, and is damaged");
		return TRUE;
	}
	plan->work->cut = TRUE;
	add_line(plan->actions,
		 "end the journal before record %" G_GUINT64_FORMAT
		 ": that record and all that follow are discarded",
		 check->end.sequence);
	return TRUE;
}

static void plan_replay(RepairPlan *plan)
{
	const Check *check = plan->work->check;

	plan->replay = !check->sb->clean && !plan->may_cut &&
		       (plan->work->pages || bitmaps_are_loadable(check));
	if (plan->replay)
		add_line(plan->actions,
			 "replay the %" G_GUINT64_FORMAT
			 " records of the journal and close the volume",
			 plan->check->records);
}

static RepairPlan *plan_new(Check *check)
{
	RepairPlan *plan = g_new0(RepairPlan, 1);

	plan->actions = g_ptr_array_new_with_free_func(g_free);
	plan->left = g_ptr_array_new_with_free_func(g_free);
	plan->given_up = g_ptr_array_new_with_free_func(g_free);
	plan->work = g_new0(RepairWork, 1);
	plan->work->check = check;
	plan->check = check->result;
	return plan;
}

RepairPlan *repair_plan(Backing *backing, RepairFlags flags, const char *const *give_up,
			CheckProgress progress, gpointer data, GError **error)
{
	Check *check = check_walk(backing, TRUE, give_up, progress, data, error);
	g_autoptr(RepairPlan) plan = check ? plan_new(check) : NULL;

	if (!plan)
		return NULL;
	plan_copies(plan);
	plan_bitmaps(plan);
	if (!plan_journal(plan, flags, error))
		return NULL;
	plan_replay(plan);
	return g_steal_pointer(&plan);
}

void repair_plan_let_go(RepairPlan *plan)
{
	if (plan)
		tenure_end(g_steal_pointer(&plan->work->check->tenure), TRUE);
}

void repair_plan_free(RepairPlan *plan)
{
	if (!plan)
		return;
	g_ptr_array_unref(plan->actions);
	g_ptr_array_unref(plan->left);
	g_ptr_array_unref(plan->given_up);
	check_free(plan->work->check);
	repair_table_clear(&plan->work->new_table);
	g_free(plan->work);
	g_free(plan);
}

/* ---- mending */

static BitmapPlace bitmap_place(const Check *check)
{
	return (BitmapPlace){check->backing, check->sb->groups_offset, &check->seal};
}

static guint64 slot_end(const Check *check, guint64 slot)
{
	return check->sb->groups_offset + (slot + 1) * FORMAT_SLOT_SIZE;
}

/* Grows a backing that was cut short, so that it holds all that the repair writes. */
static int regrow_backing(const Check *check)
{
	guint64 end = backing_size(check->backing), size = end;

	if (check->n_groups)
		end = max_u64(end, slot_end(check, ((check->n_groups - 1) << FORMAT_GROUP_SHIFT) +
							   FORMAT_FIRST_INDEX - 1));
	for (guint i = 0; i < check->copies->len; i++)
		end = max_u64(end,
			      slot_end(check, g_array_index(check->copies, CheckCopy, i).damaged));
	return end > size ? backing_grow(check->backing, end) : 0;
}

static int mend_node(const Check *check, const CheckCopy *copy)
{
	FormatNode node;
	int r = backing_pread(check->backing, &node, sizeof node,
			      check->sb->groups_offset + copy->whole * FORMAT_SLOT_SIZE);

	return r ? r
		 : backing_pwrite(check->backing, &node, sizeof node,
				  check->sb->groups_offset + copy->damaged * FORMAT_SLOT_SIZE);
}

static int mend_marks(const Check *check)
{
	g_autoptr(JournalRing) ring = NULL;
	int r = check->marks ? journal_ring_read(check->backing, check->sb, &check->seal, &ring)
			     : 0;

	return r || !ring ? r : journal_ring_mend_marks(ring, check->backing, check->marks);
}

/* Step 1: rewrites each damaged copy from the whole one. */
static int mend_copies(const Check *check)
{
	BitmapPlace place = bitmap_place(check);
	g_autofree BitmapChoice *choice = g_try_new0(BitmapChoice, 1);
	int r = choice ? mend_marks(check) : -ENOMEM;

	for (guint i = 0; i < check->copies->len && !r; i++)
		r = mend_node(check, &g_array_index(check->copies, CheckCopy, i));
	for (guint64 g = 0; g < check->n_groups && !r; g++) {
		const CheckGroup *group = check->groups[g];

		if (!group->found || !group->damaged)
			continue;
		choice->page = group->disk;
		choice->home = group->home;
		choice->damaged = group->damaged;
		r = bitmap_mend(&place, g, choice);
	}
	return r ? r : backing_flush(check->backing);
}

/* Step 2: the generation after the new superblock's has never been used, and is not used by anyone
 * else even if the repair is interrupted.  Ends the journal where the plan says so. */
static int take_generations(Check *check, const RepairWork *work)
{
	Superblock next = *check->sb;

	next.generation += FORMAT_STAMPS_AHEAD;
	next.compatible &= FORMAT_COMPATIBLE_KNOWN;
	if (work->cut) {
		next.fence_sequence = check->end.sequence;
		next.fence_generation = next.generation + 1;
		next.clean = FALSE;
	}
	return superblock_store(check->backing, &check->pair, &next);
}

/* Step 3: writes a page with that generation for each group whose bitmap disagrees with the map.
 * *ret_digest is the digest over all groups. */
static int write_pages(const Check *check, guint64 generation, guint64 *ret_digest)
{
	BitmapPlace place = bitmap_place(check);
	guint64 digest = 0;
	int r = 0;

	for (guint64 g = 0; g < check->n_groups && !r; g++) {
		CheckGroup *group = check->groups[g];
		FormatBitmap *page = &group->disk;

		if (page_differs(group)) {
			memcpy(page->bits, group->mapped, sizeof page->bits);
			bitmap_seal(page, &check->seal, g, generation);
			r = bitmap_write(&place, g, group->found ? !group->home : 0, page);
		}
		digest += bitmap_term(page, g);
	}
	*ret_digest = digest;
	return r ? r : backing_flush(check->backing);
}

/* Puts the counts that were found into a superblock, and the new table. */
static void set_counts(const RepairWork *work, Superblock *next)
{
	const Check *check = work->check;
	const Superblock *said = &check->said;

	next->data_slots = check->data_slots;
	next->node_slots = check->node_slots;
	next->head_data = check->head->count.data;
	next->head_nodes = check->head->count.nodes;
	next->head_written = check->head->written;
	next->head_bound = repair_counts_are_bounds(check);
	next->head_written_bound = FALSE;
	if (!work->table)
		return;
	next->snapshot_root = work->new_table.root;
	next->head_parent = said->head_parent;
	next->dying_generation = said->dying_generation;
	next->dying_cursor = said->dying_cursor;
	next->dying_written = said->dying_written;
	next->delete_generation = said->delete_generation;
	next->delete_cursor = said->delete_cursor;
	next->delete_written = said->delete_written;
}

/* Steps 3 and 4. */
static int rebuild_pages(RepairWork *work)
{
	Check *check = work->check;
	Superblock next = *check->sb;
	int r = 0;

	next.generation++;
	next.checkpoint = next.generation;
	if (work->table)
		r = repair_table_write(&work->new_table, check);
	set_counts(work, &next);
	if (!r)
		r = write_pages(check, next.generation, &next.bitmap_digest);
	return r ? r : superblock_store(check->backing, &check->pair, &next);
}

gboolean repair_carry_out(RepairPlan *plan, GError **error)
{
	RepairWork *work = plan->work;
	Check *check = work->check;
	int r;

	if (plan->actions->len == (guint)plan->replay) /* nothing, or the replay alone */
		return TRUE;
	r = regrow_backing(check);
	if (!r)
		r = mend_copies(check);
	if (!r)
		r = take_generations(check, work);
	if (!r && work->pages)
		r = rebuild_pages(work);
	return r ? error_set_errno(error, r, "%s: repair", check->backing->name) : TRUE;
}
