/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/power/history.h"

#include "common/base/bounds.h"
#include "common/base/bytes.h"

#define SECTORS_PER_BLOCK (BLOCK_SIZE / SECTOR_SIZE)
#define NEVER G_MAXUINT64

struct History {
	GMutex mutex;
	guint n_numbers, n_threads;
	guint32 *before, *now;
	guint8 *owners;	   /* the owner of each number */
	GArray *ops;	   /* of Op */
	GArray *snapshots; /* of HistorySnapshot */
	guint32 numbers;
};

History *history_new(guint n_sectors, guint n_threads)
{
	History *history = g_new0(History, 1);

	g_mutex_init(&history->mutex);
	history->n_numbers = n_sectors + 1;
	history->n_threads = n_threads;
	history->before = g_new0(guint32, history->n_numbers);
	history->now = g_new0(guint32, history->n_numbers);
	history->owners = g_new0(guint8, history->n_numbers);
	history_set_size(history, n_sectors);
	history->ops = g_array_new(FALSE, FALSE, sizeof(Op));
	history->snapshots = g_array_new(FALSE, FALSE, sizeof(HistorySnapshot));
	return history;
}

static HistorySnapshot *snapshot_at(const History *history, guint i)
{
	return &g_array_index(history->snapshots, HistorySnapshot, i);
}

void history_free(History *history)
{
	g_mutex_clear(&history->mutex);
	g_free(history->before);
	g_free(history->now);
	g_free(history->owners);
	g_array_unref(history->ops);
	for (guint i = 0; i < history->snapshots->len; i++)
		g_free(snapshot_at(history, i)->content);
	g_array_unref(history->snapshots);
	g_free(history);
}

void history_set_threads(History *history, guint n_threads)
{
	history->n_threads = n_threads;
	history->owners[history->n_numbers - 1] = (guint8)(n_threads - 1);
}

guint history_sectors(const History *history)
{
	return history->n_numbers - 1;
}

guint history_numbers(const History *history)
{
	return history->n_numbers;
}

void history_set_size(History *history, guint sectors)
{
	history->before[history->n_numbers - 1] = history->now[history->n_numbers - 1] = sectors;
}

void history_own(History *history, guint thread, guint first, guint count)
{
	memset(history->owners + first, (int)thread, count);
}

static const Op *op_at(const History *history, guint i)
{
	return &g_array_index(history->ops, Op, i);
}

static guint32 value_of(const History *history, const Op *op, guint sector)
{
	if (op->kind == OP_ROLLBACK)
		return snapshot_at(history, op->number)->content[sector];
	return op->kind == OP_ZERO ? 0 : op->number;
}

static void apply(const History *history, guint32 *state, const Op *op)
{
	for (guint i = 0; op->kind != OP_FLUSH && i < op->count; i++)
		state[op->first + i] = value_of(history, op, op->first + i);
}

History *history_from(const History *history, const guint32 *content)
{
	History *next = history_new(history_sectors(history), 1);

	memcpy(next->before, content, history->n_numbers * sizeof *content);
	memcpy(next->now, content, history->n_numbers * sizeof *content);
	next->numbers = history->numbers;
	return next;
}

static Moment moment_until(Moment moment, guint64 cut)
{
	return moment.position > cut ? (Moment){NEVER, NEVER} : moment;
}

static void snapshot_copy(History *to, const HistorySnapshot *snapshot, guint64 cut)
{
	HistorySnapshot copy = *snapshot;

	copy.content = g_memdup(snapshot->content, (guint)(to->n_numbers * sizeof(guint32)));
	copy.ended = moment_until(copy.ended, cut);
	copy.delete_begun = moment_until(copy.delete_begun, cut);
	copy.deleted = moment_until(copy.deleted, cut);
	g_array_append_val(to->snapshots, copy);
}

History *history_until(const History *history, guint64 cut)
{
	History *until = history_from(history, history->before);

	until->n_threads = history->n_threads;
	memcpy(until->owners, history->owners, history->n_numbers);
	for (guint i = 0; i < history->snapshots->len; i++)
		snapshot_copy(until, snapshot_at(history, i), cut);
	for (guint i = 0; i < history->ops->len; i++) {
		Op op = *op_at(history, i);

		if (op.begun.position >= cut)
			continue;
		if (op.ended.position > cut)
			op.ended = (Moment){NEVER, NEVER};
		apply(until, until->now, &op);
		g_array_append_val(until->ops, op);
	}
	return until;
}

const guint32 *history_now(const History *history)
{
	return history->now;
}

static guint begin_locked(History *history, Disk *disk, Op op)
{
	op.begun = disk_now(disk);
	op.ended = (Moment){NEVER, NEVER};
	apply(history, history->now, &op);
	g_array_append_val(history->ops, op);
	return history->ops->len - 1;
}

guint history_begin(History *history, Disk *disk, OpKind kind, guint thread, guint first,
		    guint count, guint32 *ret_number)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&history->mutex);
	Op op = {.kind = kind, .thread = thread, .first = first, .count = count};

	if (kind == OP_WRITE)
		op.number = ++history->numbers;
	if (ret_number)
		*ret_number = op.number;
	return begin_locked(history, disk, op);
}

guint history_begin_resize(History *history, Disk *disk, guint sectors)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&history->mutex);

	return begin_locked(history, disk,
			    (Op){.kind = OP_RESIZE,
				 .thread = history->n_threads - 1,
				 .first = history_sectors(history),
				 .count = 1,
				 .number = sectors});
}

void history_end(History *history, Disk *disk, guint op)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&history->mutex);

	g_array_index(history->ops, Op, op).ended = disk_now(disk);
}

/* Changes that ended before this tick, at which the last successful flush began, are durable at
 * `cut`. */
static guint64 sure_tick(const History *history, guint64 cut)
{
	guint64 tick = 0;

	for (guint i = 0; i < history->ops->len; i++)
		if (op_at(history, i)->kind == OP_FLUSH && op_at(history, i)->ended.position <= cut)
			tick = max_u64(tick, op_at(history, i)->begun.tick);
	return tick;
}

static gboolean is_change_of(const Op *op, guint thread, guint64 cut)
{
	return op->thread == thread && op->kind != OP_FLUSH && op->begun.position < cut;
}

static gboolean is_sure(const Op *op, guint64 sure, guint64 cut, gboolean all)
{
	return op->ended.tick < sure ||
	       ((all || op->kind == OP_RESIZE || op->kind == OP_ROLLBACK) &&
		op->ended.position <= cut);
}

guint64 history_hash(const History *history, guint64 cut)
{
	guint64 sure = sure_tick(history, cut), hash = 0;

	for (guint i = 0; i < history->ops->len; i++) {
		const Op *op = op_at(history, i);

		if (op->kind == OP_FLUSH || op->begun.position >= cut)
			continue;
		hash = mix(hash, (guint64)op->kind << 60 | (guint64)op->first << 32 | op->count);
		hash = mix(hash, (guint64)is_sure(op, sure, cut, FALSE) << 32 |
					 (op->kind == OP_RESIZE ? op->number : 0));
	}
	for (guint i = 0; i < history->snapshots->len; i++)
		hash = mix(hash, (guint64)history_snapshot_must(snapshot_at(history, i), cut) << 1 |
					 history_snapshot_may(snapshot_at(history, i), cut));
	return hash;
}

/* The check of one thread's sectors against its prefixes, one operation after the other. */
typedef struct {
	const History *history;
	guint thread;
	const guint32 *content;
	guint32 *state;	 /* what the prefix would have left */
	guint different; /* number of the thread's sectors whose content differs from `state` */
	guint first_different;
} Prefix;

static gboolean is_different(const Prefix *prefix, guint sector)
{
	return prefix->history->owners[sector] == prefix->thread &&
	       prefix->state[sector] != prefix->content[sector];
}

static void prefix_start(Prefix *prefix)
{
	for (guint i = 0; i < prefix->history->n_numbers; i++)
		prefix->different += is_different(prefix, i);
}

static void prefix_apply(Prefix *prefix, const Op *op)
{
	for (guint i = op->first; i < op->first + op->count; i++) {
		prefix->different -= is_different(prefix, i);
		prefix->state[i] = value_of(prefix->history, op, i);
		prefix->different += is_different(prefix, i);
	}
}

/* A zero that is done in pieces: each sector is as before the zero, or is zero. */
static gboolean is_part(const Prefix *prefix, const Op *op)
{
	guint part = 0;
	gboolean whole = op->first % SECTORS_PER_BLOCK == 0 && op->count % SECTORS_PER_BLOCK == 0 &&
			 op->count * SECTOR_SIZE <= VOLUME_ATOMIC_MAX;

	if (op->kind != OP_ZERO || whole)
		return FALSE;
	for (guint i = op->first; i < op->first + op->count; i++)
		part += is_different(prefix, i) && !prefix->content[i];
	return part == prefix->different;
}

/* The operations of a thread that survived, as indexes into all operations. */
typedef struct {
	gboolean found;
	guint least; /* the thread's operations before this one are certainly there */
	guint most;  /* only operations from this one on may be missing */
} Survived;

static Survived find_prefix(Prefix *prefix, guint64 cut, guint64 sure, gboolean all)
{
	const History *history = prefix->history;
	Survived survived = {FALSE, 0, 0};
	guint low = 0; /* operations before this one must be there */

	for (guint i = 0; i < history->ops->len; i++)
		if (is_change_of(op_at(history, i), prefix->thread, cut) &&
		    is_sure(op_at(history, i), sure, cut, all))
			low = i + 1;
	prefix_start(prefix);
	for (guint i = 0;; i++) {
		gboolean end = i == history->ops->len;
		const Op *op = end ? NULL : op_at(history, i);
		gboolean change = !end && is_change_of(op, prefix->thread, cut);

		if (!end && !change)
			continue;
		if (i >= low && (!prefix->different || (change && is_part(prefix, op)))) {
			survived.least = survived.found ? survived.least : i;
			survived.most = i;
			survived.found = TRUE;
		}
		if (end)
			return survived;
		prefix_apply(prefix, op);
	}
}

static char *describe(const Prefix *prefix, guint64 cut)
{
	guint sector = 0, n = 0;

	while (sector + 1 < prefix->history->n_numbers && !is_different(prefix, sector))
		sector++;
	for (guint i = 0; i < prefix->history->ops->len; i++)
		n += is_change_of(op_at(prefix->history, i), prefix->thread, cut);
	return g_strdup_printf(
		"not a prefix of thread %u's %u changes that has all that was sure: "
		"sector %u holds %u, after all of them it held %u (and %u sectors more)",
		prefix->thread, n, sector, prefix->content[sector], prefix->state[sector],
		MAX(prefix->different, 1) - 1);
}

/* If an operation is there, every operation that was acknowledged before it began must be there. */
static gboolean check_order(const History *history, guint64 cut, const Survived *survived,
			    char **ret_why)
{
	guint64 there = 0; /* when the last operation that is certainly there began */

	for (guint i = 0; i < history->ops->len; i++) {
		const Op *op = op_at(history, i);

		if (is_change_of(op, op->thread, cut) && i < survived[op->thread].least)
			there = MAX(there, op->begun.tick);
	}
	for (guint i = 0; i < history->ops->len; i++) {
		const Op *op = op_at(history, i);

		if (!is_change_of(op, op->thread, cut) || op->ended.tick >= there ||
		    i < survived[op->thread].most)
			continue;
		*ret_why = g_strdup_printf("operation %u of thread %u is missing, and one that "
					   "began after it was acknowledged is there",
					   i, op->thread);
		return FALSE;
	}
	return TRUE;
}

/* `sure`: what was acknowledged before this tick is there. */
static gboolean check_since(const History *history, guint64 cut, guint64 sure, gboolean all,
			    const guint32 *content, char **ret_why)
{
	g_autofree Survived *survived = g_new0(Survived, history->n_threads);
	g_autofree guint32 *state = g_new(guint32, history->n_numbers);

	for (guint thread = 0; thread < history->n_threads; thread++) {
		Prefix prefix = {
			.history = history, .thread = thread, .content = content, .state = state};

		memcpy(state, history->before, history->n_numbers * sizeof *state);
		survived[thread] = find_prefix(&prefix, cut, sure, all);
		if (!survived[thread].found) {
			*ret_why = describe(&prefix, cut);
			return FALSE;
		}
	}
	return history->n_threads < 2 || check_order(history, cut, survived, ret_why);
}

gboolean history_check(const History *history, guint64 cut, gboolean all, const guint32 *content,
		       char **ret_why)
{
	return check_since(history, cut, sure_tick(history, cut), all, content, ret_why);
}

/* --- Snapshots -------------------------------------------------------------------------------- */

guint history_begin_snapshot(History *history, Disk *disk, const char *name)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&history->mutex);
	Moment never = {NEVER, NEVER};
	HistorySnapshot snapshot = {
		.content = g_memdup(history->now, (guint)(history->n_numbers * sizeof(guint32))),
		.begun = disk_now(disk),
		.ended = never,
		.delete_begun = never,
		.deleted = never};

	g_strlcpy(snapshot.name, name, sizeof snapshot.name);
	g_array_append_val(history->snapshots, snapshot);
	return history->snapshots->len - 1;
}

void history_end_snapshot(History *history, Disk *disk, guint snapshot)
{
	snapshot_at(history, snapshot)->ended = disk_now(disk);
}

void history_begin_deletion(History *history, Disk *disk, guint snapshot)
{
	snapshot_at(history, snapshot)->delete_begun = disk_now(disk);
}

void history_end_deletion(History *history, Disk *disk, guint snapshot)
{
	snapshot_at(history, snapshot)->deleted = disk_now(disk);
}

guint history_begin_rollback(History *history, Disk *disk, guint snapshot)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&history->mutex);

	return begin_locked(
		history, disk,
		(Op){.kind = OP_ROLLBACK, .count = history_sectors(history), .number = snapshot});
}

guint history_snapshots(const History *history)
{
	return history->snapshots->len;
}

const HistorySnapshot *history_snapshot(const History *history, guint snapshot)
{
	return snapshot_at(history, snapshot);
}

void history_add_snapshot(History *history, const char *name, const guint32 *content)
{
	Moment never = {NEVER, NEVER};
	HistorySnapshot snapshot = {
		.before = TRUE,
		.content = g_memdup(content, (guint)(history->n_numbers * sizeof *content)),
		.delete_begun = never,
		.deleted = never};

	g_strlcpy(snapshot.name, name, sizeof snapshot.name);
	g_array_append_val(history->snapshots, snapshot);
}

gboolean history_snapshot_must(const HistorySnapshot *snapshot, guint64 cut)
{
	return (snapshot->before || snapshot->ended.position <= cut) &&
	       snapshot->delete_begun.position >= cut;
}

gboolean history_snapshot_may(const HistorySnapshot *snapshot, guint64 cut)
{
	return (snapshot->before || snapshot->begun.position < cut) &&
	       snapshot->deleted.position > cut;
}

gboolean history_check_snapshot(const History *history, const HistorySnapshot *snapshot,
				guint64 cut, const guint32 *content, char **ret_why)
{
	guint64 end = min_u64(snapshot->ended.position, cut);

	if (!snapshot->before)
		return check_since(history, end, snapshot->begun.tick, FALSE, content, ret_why);
	for (guint i = 0; i < history->n_numbers; i++)
		if (content[i] != snapshot->content[i]) {
			*ret_why = g_strdup_printf("sector %u holds %u, and held %u before", i,
						   content[i], snapshot->content[i]);
			return FALSE;
		}
	return TRUE;
}

/* --- Files ------------------------------------------------------------------------------------ */

typedef struct {
	guint n_numbers, n_threads, n_ops, n_snapshots;
	guint32 numbers;
} FileHead;

static gboolean save_snapshots(const History *history, FILE *file)
{
	for (guint i = 0; i < history->snapshots->len; i++) {
		const HistorySnapshot *snapshot = snapshot_at(history, i);

		if (fwrite(snapshot, sizeof *snapshot, 1, file) != 1 ||
		    fwrite(snapshot->content, sizeof(guint32), history->n_numbers, file) !=
			    history->n_numbers)
			return FALSE;
	}
	return TRUE;
}

static gboolean load_snapshots(History *history, guint n, FILE *file)
{
	for (guint i = 0; i < n; i++) {
		HistorySnapshot snapshot;

		if (fread(&snapshot, sizeof snapshot, 1, file) != 1)
			return FALSE;
		snapshot.content = g_new(guint32, history->n_numbers);
		g_array_append_val(history->snapshots, snapshot);
		if (fread(snapshot.content, sizeof(guint32), history->n_numbers, file) !=
		    history->n_numbers)
			return FALSE;
	}
	return TRUE;
}

gboolean history_save(const History *history, FILE *file)
{
	const FileHead head = {history->n_numbers, history->n_threads, history->ops->len,
			       history->snapshots->len, history->numbers};

	return fwrite(&head, sizeof head, 1, file) == 1 &&
	       fwrite(history->before, sizeof(guint32), head.n_numbers, file) == head.n_numbers &&
	       fwrite(history->now, sizeof(guint32), head.n_numbers, file) == head.n_numbers &&
	       fwrite(history->owners, 1, head.n_numbers, file) == head.n_numbers &&
	       fwrite(history->ops->data, sizeof(Op), head.n_ops, file) == head.n_ops &&
	       save_snapshots(history, file);
}

History *history_load(FILE *file)
{
	g_autoptr(History) history = NULL;
	FileHead head;

	if (fread(&head, sizeof head, 1, file) != 1)
		return NULL;
	history = history_new(head.n_numbers - 1, head.n_threads);
	history->numbers = head.numbers;
	g_array_set_size(history->ops, head.n_ops);
	if (fread(history->before, sizeof(guint32), head.n_numbers, file) != head.n_numbers ||
	    fread(history->now, sizeof(guint32), head.n_numbers, file) != head.n_numbers ||
	    fread(history->owners, 1, head.n_numbers, file) != head.n_numbers ||
	    fread(history->ops->data, sizeof(Op), head.n_ops, file) != head.n_ops ||
	    !load_snapshots(history, head.n_snapshots, file))
		return NULL;
	return g_steal_pointer(&history);
}

/* --- Sectors ---------------------------------------------------------------------------------- */

void stamp_fill(guint8 *data, guint32 number, guint first, guint count)
{
	for (guint i = 0; i < count; i++)
		for (guint k = 0; k < SECTOR_SIZE; k += 8) {
			put_le32(data + i * SECTOR_SIZE + k, number);
			put_le32(data + i * SECTOR_SIZE + k + 4, first + i);
		}
}

/* Whether all words of the sector are equal, and the number belongs to this sector. */
static gboolean is_stamp(const guint8 *sector, guint number)
{
	guint64 word = get_le64(sector);

	return !memcmp(sector, sector + 8, SECTOR_SIZE - 8) &&
	       (!word || ((guint32)word && word >> 32 == number));
}

gboolean stamp_read(Volume *volume, guint n_sectors, guint32 *numbers, char **ret_why)
{
	const guint step = 256;
	g_autofree guint8 *data = g_malloc(step * SECTOR_SIZE);
	guint size = (guint)(volume_size(volume) / SECTOR_SIZE);

	memset(numbers, 0, n_sectors * sizeof *numbers);
	numbers[n_sectors] = size;
	size = MIN(size, n_sectors);
	for (guint first = 0; first < size; first += step) {
		guint n = MIN(step, size - first);
		struct iovec iov = {data, n * SECTOR_SIZE};
		int r = volume_read(volume, &iov, 1, (guint64)first * SECTOR_SIZE, NULL);

		if (r) {
			*ret_why = g_strdup_printf("read sectors %u-%u: %s", first, first + n - 1,
						   g_strerror(-r));
			return FALSE;
		}
		for (guint i = 0; i < n; i++) {
			if (!is_stamp(data + i * SECTOR_SIZE, first + i)) {
				*ret_why = g_strdup_printf("sector %u holds what was never written "
							   "there",
							   first + i);
				return FALSE;
			}
			numbers[first + i] = get_le32(data + i * SECTOR_SIZE);
		}
	}
	return TRUE;
}
