/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table of which records count, by what they name, on which side of the durable-mark they are,
 * and whether their payload is intact.
 */
#include "common/base/units.h"
#include "common/engine/journal-rule.h"
#include "tests/backing/memory.h"
#include "tests/harness.h"

#include <errno.h>

#define SEED 7
#define JOURNAL FORMAT_JOURNAL_MIN
#define GROUPS (FORMAT_JOURNAL_OFFSET + JOURNAL)
#define BLOCKS 256u /* of the volume */
#define SLOTS 64u   /* of the backing */
#define DURABLE 10u /* every record before this one was on disk */
#define FIRST_SLOT FORMAT_FIRST_INDEX

static const Seal seal = {SEED};

/* ---- a backing that cannot read one place */

static guint64 unreadable_offset; /* 0: everything can be read */
static const BackingOps *real_ops;

static int preadv_or_fail(Backing *backing, const struct iovec *iov, int count, guint64 offset,
			  BackingFlags flags)
{
	return unreadable_offset && offset == unreadable_offset
		       ? -EIO
		       : real_ops->preadv(backing, iov, count, offset, flags);
}

static Backing *backing_new_unreadable(void)
{
	static BackingOps ops;
	Backing *backing = backing_memory_new(0);

	real_ops = backing->ops;
	ops = *backing->ops;
	ops.preadv = preadv_or_fail;
	backing->ops = &ops;
	CHECK_INT(backing_grow(backing, GROUPS + SLOTS * FORMAT_SLOT_SIZE), 0);
	return backing;
}

/* ---- the table */

typedef enum {
	WHOLE,
	CHANGED,    /* a bit of the second run's last block */
	UNREADABLE, /* the second run */
} Payload;

typedef struct {
	const char *name;
	guint16 kind;
	guint sequence;
	guint64 first, blocks;
	guint64 second_slot; /* of the second of two runs; 0: FIRST_SLOT + 8 */
	Payload payload;
	JournalVerdict verdict;
	int result; /* of the second run, if its payload is read */
} Row;

#define WRITE FORMAT_RECORD_WRITE
#define ZERO FORMAT_RECORD_ZERO
#define MARK FORMAT_RECORD_DURABLE

static const Row rows[] = {
	{"a mark", MARK, DURABLE, G_MAXUINT32, 0, 0, WHOLE, JOURNAL_COUNTS, 0},
	{"a zero", ZERO, DURABLE, 3, 100, 0, WHOLE, JOURNAL_COUNTS, 0},
	{"a zero of all blocks", ZERO, DURABLE, 0, BLOCKS, 0, WHOLE, JOURNAL_COUNTS, 0},
	{"a zero over the end", ZERO, DURABLE, 1, BLOCKS, 0, WHOLE, JOURNAL_OUT_OF_BOUNDS, 0},
	{"a zero behind the end", ZERO, DURABLE, BLOCKS + 1, 0, 0, WHOLE, JOURNAL_OUT_OF_BOUNDS, 0},
	{"a zero that overflows", ZERO, DURABLE, 8, G_MAXUINT64 - 7, 0, WHOLE,
	 JOURNAL_OUT_OF_BOUNDS, 0},
	{"a flushed zero over the end", ZERO, 1, 1, BLOCKS, 0, WHOLE, JOURNAL_OUT_OF_BOUNDS, 0},
	{"a write", WRITE, DURABLE, 5, 4, 0, WHOLE, JOURNAL_COUNTS, 0},
	{"a write of the last blocks", WRITE, DURABLE, BLOCKS - 4, 4, 0, WHOLE, JOURNAL_COUNTS, 0},
	{"a write over the end", WRITE, DURABLE, BLOCKS - 3, 4, 0, WHOLE, JOURNAL_OUT_OF_BOUNDS, 0},
	{"the backing's last slots", WRITE, DURABLE, 5, 4, SLOTS - 2, WHOLE, JOURNAL_COUNTS, 0},
	{"a slot behind the backing", WRITE, DURABLE, 5, 4, SLOTS - 1, WHOLE, JOURNAL_OUT_OF_BOUNDS,
	 0},
	{"a flushed slot behind the backing", WRITE, DURABLE - 1, 5, 4, SLOTS - 1, WHOLE,
	 JOURNAL_OUT_OF_BOUNDS, 0},
	{"a torn write", WRITE, DURABLE, 5, 4, 0, CHANGED, JOURNAL_TORN, -EBADMSG},
	{"a torn write further on", WRITE, DURABLE + 5, 5, 4, 0, CHANGED, JOURNAL_TORN, -EBADMSG},
	{"a flushed write that rotted", WRITE, DURABLE - 1, 5, 4, 0, CHANGED, JOURNAL_COUNTS,
	 -EBADMSG},
	{"a write that cannot be read", WRITE, DURABLE, 5, 4, 0, UNREADABLE, JOURNAL_COUNTS, -EIO},
	{"a flushed write that cannot be read", WRITE, DURABLE - 1, 5, 4, 0, UNREADABLE,
	 JOURNAL_COUNTS, -EIO},
};

typedef struct {
	Backing *backing;
	Superblock sb;
	JournalRule rule;
	SlotRun runs[2];
	guint32 crcs[4];
	Record record;
} Scene;

static guint64 offset_of(guint64 slot)
{
	return GROUPS + slot * FORMAT_SLOT_SIZE;
}

static void put_payload(Scene *scene, guint i, Payload payload)
{
	guint8 block[BLOCK_SIZE];
	const SlotRun *run = &scene->runs[i / 2];
	guint64 at = offset_of(run->slot + i % 2);

	memset(block, 'a' + (int)i, sizeof block);
	scene->crcs[i] = seal_block(&seal, scene->record.first + i, block);
	if (i == 3 && payload == CHANGED)
		block[BLOCK_SIZE - 1] ^= 1;
	if (at + sizeof block <= backing_size(scene->backing))
		CHECK_INT(backing_pwrite(scene->backing, block, sizeof block, at), 0);
	if (i == 2 && payload == UNREADABLE)
		unreadable_offset = at;
}

static void scene_init(Scene *scene, const Row *row)
{
	*scene = (Scene){
		.backing = backing_new_unreadable(),
		.sb = {.size = BLOCKS * BLOCK_SIZE, .seed = SEED, .groups_offset = GROUPS},
		.runs = {{FIRST_SLOT, 2},
			 {row->second_slot ? row->second_slot : FIRST_SLOT + 8, 2}},
		.record = {.kind = row->kind,
			   .sequence = row->sequence,
			   .first = row->first,
			   .blocks = row->blocks,
			   .n_runs = row->kind == WRITE ? 2 : 0},
	};
	scene->record.runs = scene->runs;
	scene->record.crcs = scene->crcs;
	unreadable_offset = 0;
	for (guint i = 0; row->kind == WRITE && i < 4; i++)
		put_payload(scene, i, row->payload);
	scene->rule = (JournalRule){.backing = scene->backing,
				    .sb = &scene->sb,
				    .seal = &seal,
				    .durable = DURABLE,
				    .payload = g_malloc(JOURNAL_PAYLOAD_MAX)};
}

static void scene_clear(Scene *scene)
{
	g_free(scene->rule.payload);
	backing_free(scene->backing);
}

static void test_verdicts(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		const Row *row = &rows[i];
		Scene scene;

		test_row("%s", row->name);
		scene_init(&scene, row);
		CHECK_INT(journal_rule_judge(&scene.rule, &scene.record), row->verdict);
		if (row->kind == WRITE && row->verdict != JOURNAL_OUT_OF_BOUNDS) {
			CHECK_INT(journal_rule_read_payload(&scene.rule, &scene.record),
				  !row->result);
			CHECK_INT(scene.rule.results[0], 0);
			CHECK_INT(scene.rule.results[1], row->result);
			CHECK_UINT(scene.rule.payload[BLOCK_SIZE], 'b');
		}
		scene_clear(&scene);
	}
}

/* I1: replay must not end at a flushed record, even when its payload cannot be read.  Not reading
 * it also saves time. */
static void test_flushed_payload_is_not_read(const void *data)
{
	static const Row flushed = {"", WRITE, DURABLE - 1, 5, 4, 0, WHOLE, JOURNAL_COUNTS, 0};
	Scene scene;

	(void)data;
	scene_init(&scene, &flushed);
	memset(scene.rule.payload, 0, JOURNAL_PAYLOAD_MAX);
	CHECK_INT(journal_rule_judge(&scene.rule, &scene.record), JOURNAL_COUNTS);
	CHECK_ZERO(scene.rule.payload, 4 * BLOCK_SIZE);
	scene_clear(&scene);
}

/* A replay that leaves out a flushed record is a loss, from the first such record on. */
static void test_loss(const void *data)
{
	const JournalRule rule = {.durable = DURABLE};

	(void)data;
	CHECK(journal_rule_is_loss(&rule, (JournalPlace){0, DURABLE - 1}));
	CHECK(!journal_rule_is_loss(&rule, (JournalPlace){0, DURABLE}));
	CHECK(!journal_rule_is_loss(&rule, (JournalPlace){0, DURABLE + 1}));
}

/* ---- the durable-mark, in the ring and beside it */

static void append(Journal *journal, guint64 *ret_ticket)
{
	Record record = {.kind = ZERO, .first = 0, .blocks = 1};

	CHECK_INT(journal_reserve(journal, record_length(ZERO, 0, 1), TRUE), 0);
	*ret_ticket = journal_append(journal, &record);
}

static void test_mark(const void *data)
{
	static const struct {
		const char *name;
		gboolean in_ring, beside;
	} homes[] = {{"in both places", TRUE, TRUE},
		     {"in the ring", TRUE, FALSE},
		     {"beside the ring", FALSE, TRUE},
		     {"in none", FALSE, FALSE}};
	static const guint8 zeros[FORMAT_MARK_DISTANCE + sizeof(FormatRecord)];
	const Superblock sb = {.journal_size = JOURNAL, .seed = SEED, .journal_sequence = 1};

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(homes); i++) {
		g_autoptr(Backing) backing = backing_memory_new(0);
		Journal *journal = journal_new(backing, JOURNAL, &seal, NULL);
		g_autoptr(JournalRing) ring = NULL;
		gboolean damaged = TRUE;
		guint64 ticket = 0;
		JournalPlace end;
		JournalRule rule;

		test_row("%s", homes[i].name);
		CHECK_INT(backing_grow(backing, GROUPS), 0);
		journal_start(journal, 0, (JournalPlace){0, 1}, 2);
		append(journal, &ticket);
		append(journal, &ticket);
		CHECK_INT(journal_commit(journal, ticket), 0);
		journal_mark_durable(journal, 3);
		if (!homes[i].in_ring)
			backing_pwrite(backing, zeros, sizeof(FormatRecord),
				       FORMAT_JOURNAL_OFFSET + 2 * sizeof(FormatRecord));
		if (!homes[i].beside)
			backing_pwrite(backing, zeros, sizeof zeros, FORMAT_MARKS_OFFSET);
		CHECK_INT(journal_ring_read(backing, &sb, &seal, &ring), 0);
		end = journal_rule_init(&rule, backing, &sb, &seal, ring, NULL, &damaged);
		CHECK_UINT(rule.durable, homes[i].in_ring || homes[i].beside ? 3 : 0);
		CHECK_UINT(end.sequence, homes[i].in_ring ? 4 : 3);
		CHECK(!damaged);
		journal_free(journal);
	}
}

int main(int argc, char **argv)
{
	test_add("each record gets its verdict", test_verdicts, NULL);
	test_add("flushed payload is not read", test_flushed_payload_is_not_read, NULL);
	test_add("a replay that ends before the mark is a loss", test_loss, NULL);
	test_add("the durable-mark is found in either of its homes", test_mark, NULL);
	return test_run(argc, argv);
}
