/* SPDX-License-Identifier: Apache-2.0 */
#include "common/engine/journal-rule.h"

#include <errno.h>

static gboolean visit_mark(const Record *record, gpointer data)
{
	JournalRule *rule = data;

	if (record->kind == FORMAT_RECORD_DURABLE)
		rule->durable = MAX(rule->durable, record->first);
	return TRUE;
}

JournalPlace journal_rule_init(JournalRule *rule, Backing *backing, const Superblock *sb,
			       const Seal *seal, const JournalRing *ring, guint8 *payload,
			       gboolean *ret_damaged)
{
	*rule = (JournalRule){
		.backing = backing,
		.sb = sb,
		.seal = seal,
		.durable = journal_ring_durable(ring),
		.payload = payload,
	};
	return journal_ring_walk(ring, visit_mark, rule, ret_damaged);
}

static guint64 slot_place(const JournalRule *rule, guint64 slot)
{
	return rule->sb->groups_offset + slot * FORMAT_SLOT_SIZE;
}

/* I9: what a record names is bounded before it is used. */
static gboolean record_is_bounded(const JournalRule *rule, const Record *record)
{
	guint64 blocks = blocks_covering(rule->sb->size);
	guint64 size = backing_size(rule->backing);

	if (record->first > blocks || record->blocks > blocks - record->first)
		return FALSE;
	for (guint i = 0; i < record->n_runs; i++)
		if (slot_place(rule, record->runs[i].slot + record->runs[i].count) > size)
			return FALSE;
	return TRUE;
}

static int read_run(JournalRule *rule, const SlotRun *run, guint64 block, const guint32 *crcs,
		    guint8 *to)
{
	int r = backing_pread(rule->backing, to, (gsize)run->count * BLOCK_SIZE,
			      slot_place(rule, run->slot));

	for (guint32 i = 0; !r && i < run->count; i++)
		if (!seal_block_fits(rule->seal, block + i, to + i * BLOCK_SIZE, crcs[i]))
			r = -EBADMSG;
	return r;
}

gboolean journal_rule_read_payload(JournalRule *rule, const Record *record)
{
	gboolean whole = TRUE;
	guint64 done = 0; /* blocks */

	for (guint i = 0; i < record->n_runs; i++) {
		const SlotRun *run = &record->runs[i];

		rule->results[i] = read_run(rule, run, record->first + done, record->crcs + done,
					    rule->payload + done * BLOCK_SIZE);
		whole = whole && !rule->results[i];
		done += run->count;
	}
	return whole;
}

static gboolean is_torn(const JournalRule *rule, const Record *record)
{
	for (guint i = 0; i < record->n_runs; i++)
		if (rule->results[i] == -EBADMSG || rule->results[i] == -ENXIO)
			return TRUE;
	return FALSE;
}

JournalVerdict journal_rule_judge(JournalRule *rule, const Record *record)
{
	if (record->kind != FORMAT_RECORD_WRITE && record->kind != FORMAT_RECORD_ZERO)
		return JOURNAL_COUNTS;
	if (!record_is_bounded(rule, record))
		return JOURNAL_OUT_OF_BOUNDS;
	if (record->sequence < rule->durable || journal_rule_read_payload(rule, record))
		return JOURNAL_COUNTS;
	return is_torn(rule, record) ? JOURNAL_TORN : JOURNAL_COUNTS;
}

gboolean journal_rule_is_loss(const JournalRule *rule, JournalPlace end)
{
	return end.sequence < rule->durable;
}
