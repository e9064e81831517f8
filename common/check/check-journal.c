/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walks the journal's records by the rule of recovery (journal-rule.h).  They claim their slots.
 */
#include "common/check/check-private.h"

#include <errno.h>

/* Whether replay of the record would have to read a lost node.  It would where the record changes
 * blocks below the node.  It would not where the record zeroes all of them: then the pointer to the
 * node is dropped, unless the node is the root. */
static gboolean is_stuck(Check *check, const Record *record)
{
	guint64 end = record->first + record->blocks;
	guint64 blocks = check->head->blocks;

	for (guint i = 0; i < check->head->lost_below->len; i++) {
		CheckRange *range = &g_array_index(check->head->lost_below, CheckRange, i);

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
			if (!check_claim_slot(check, run->slot + j, "journal record",
					      record->sequence))
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
		check_lose_blocks(check, check->head, record->first, record->first + record->blocks,
				  FALSE);
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
			check_report_copy(check, "durable-mark, copy %u", i + 1);
	if (check->marks & 1u << FORMAT_MARKS)
		check_report_copy(check, "the checkpoint's mark");
}

int check_journal(Check *check)
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
