/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/power/disk.h"
#include "common/base/bounds.h"

#include <errno.h>

#include "tests/harness.h"

#define SECTOR 512u
#define SLOW_MICROSECONDS 50

typedef enum { ENTRY_WRITE, ENTRY_PUNCH, ENTRY_GROW, ENTRY_FLUSH } EntryKind;

/* The data of a write, which recordings after a death share. */
typedef struct {
	gint references;
	guint8 bytes[];
} Data;

typedef struct {
	EntryKind kind;
	guint64 offset; /* a growth: the new size; a flush: how many entries it covers */
	guint64 length;
	guint64 durable; /* a write: the position of the entry after which it is on the disk; or 0
			  */
	Data *data;	 /* the data of a write; NULL: zeros */
} Entry;

struct Disk {
	gboolean plain; /* records nothing */
	gboolean slow;
	GCond held_changed;
	guint hold_flush; /* number of flushes until one is held; 0: none will be held */
	gboolean held;
	GMutex mutex; /* all below */
	Image *start; /* the recording's start; unused if plain */
	Image *visible;
	guint64 forgotten; /* entries before the log's first */
	GArray *log;	   /* of Entry */
	guint64 ticks;
};

typedef struct {
	Backing base;
	Disk *disk;
} DiskBacking;

static gboolean is_all_zeros(IovCursor cursor, gsize length)
{
	while (length) {
		gsize piece = length;
		const void *from = iov_next(&cursor, &piece);

		if (!is_zeros(from, piece))
			return FALSE;
		length -= piece;
	}
	return TRUE;
}

/* NULL for zeros, because a recovery writes many. */
static Data *data_new(IovCursor *cursor, gsize length)
{
	Data *data;

	if (is_all_zeros(*cursor, length))
		return NULL;
	data = g_malloc(sizeof *data + length);
	data->references = 1;
	iov_copy_out(cursor, data->bytes, length);
	return data;
}

static void data_unref(Data *data)
{
	if (data && g_atomic_int_dec_and_test(&data->references))
		g_free(data);
}

static void entry_clear(gpointer entry)
{
	data_unref(((Entry *)entry)->data);
}

Disk *disk_new_plain(Image *start)
{
	Disk *disk = g_new0(Disk, 1);

	disk->plain = TRUE;
	g_mutex_init(&disk->mutex);
	g_cond_init(&disk->held_changed);
	disk->visible = image_clone(start);
	disk->log = g_array_new(FALSE, FALSE, sizeof(Entry));
	g_array_set_clear_func(disk->log, entry_clear);
	return disk;
}

Disk *disk_new(Image *start)
{
	Disk *disk = disk_new_plain(start);

	disk->plain = FALSE;
	disk->start = image_clone(start);
	return disk;
}

void disk_free(Disk *disk)
{
	if (!disk)
		return;
	image_free(disk->start);
	image_free(disk->visible);
	g_array_unref(disk->log);
	g_mutex_clear(&disk->mutex);
	g_cond_clear(&disk->held_changed);
	g_free(disk);
}

static Disk *disk_of(Backing *backing)
{
	return ((DiskBacking *)backing)->disk;
}

static guint64 position_locked(const Disk *disk)
{
	return disk->forgotten + disk->log->len;
}

static void punch(Image *image, guint64 offset, guint64 length)
{
	if (offset < image_size(image))
		image_punch(image, offset, min_u64(length, image_size(image) - offset));
}

/* Applies a write or a part of it, as far as it lies inside the size. */
static void put(Image *image, const Entry *entry, guint64 offset, gsize length)
{
	const Data *data = entry->data;

	if (!data)
		punch(image, offset, length);
	else if (offset < image_size(image))
		image_write(image, data->bytes + (offset - entry->offset), offset,
			    min_u64(length, image_size(image) - offset));
}

static void apply(Image *image, const Entry *entry)
{
	switch (entry->kind) {
	case ENTRY_WRITE:
		put(image, entry, entry->offset, entry->length);
		break;
	case ENTRY_PUNCH:
		punch(image, entry->offset, entry->length);
		break;
	case ENTRY_GROW:
		image_grow(image, entry->offset);
		break;
	case ENTRY_FLUSH:
		break;
	}
}

static void enter_locked(Disk *disk, Entry entry)
{
	apply(disk->visible, &entry);
	if (!disk->plain)
		g_array_append_val(disk->log, entry);
}

/* Writes without recording. */
static void write_plain_locked(Disk *disk, IovCursor *cursor, guint64 offset, gsize length)
{
	while (length) {
		gsize piece = length;
		const void *data = iov_next(cursor, &piece);

		image_write(disk->visible, data, offset, piece);
		offset += piece;
		length -= piece;
	}
}

void disk_slow_down(Disk *disk)
{
	disk->slow = TRUE;
}

static void pass_time(const Disk *disk)
{
	if (disk->slow)
		g_usleep(SLOW_MICROSECONDS);
}

static int disk_preadv(Backing *backing, const struct iovec *iov, int count, guint64 offset,
		       BackingFlags flags)
{
	Disk *disk = disk_of(backing);
	IovCursor cursor = iov_cursor(iov, count);
	gsize length = iov_length(iov, count);
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&disk->mutex);

	(void)flags;
	if (offset > image_size(disk->visible) || length > image_size(disk->visible) - offset)
		return -ENXIO;
	image_read(disk->visible, &cursor, offset, length);
	return 0;
}

static int disk_pwritev(Backing *backing, const struct iovec *iov, int count, guint64 offset,
			BackingFlags flags)
{
	Disk *disk = disk_of(backing);
	IovCursor cursor = iov_cursor(iov, count);
	gsize length = iov_length(iov, count);
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = NULL;

	(void)flags;
	pass_time(disk);
	locker = g_mutex_locker_new(&disk->mutex);
	if (offset > image_size(disk->visible) || length > image_size(disk->visible) - offset)
		return -ENOSPC;
	if (disk->plain) {
		write_plain_locked(disk, &cursor, offset, length);
		return 0;
	}
	enter_locked(disk, (Entry){.kind = ENTRY_WRITE,
				   .offset = offset,
				   .length = length,
				   .data = data_new(&cursor, length)});
	return 0;
}

void disk_hold_flush(Disk *disk, guint n)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&disk->mutex);

	disk->hold_flush = n;
}

gboolean disk_await_hold(Disk *disk)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&disk->mutex);
	gint64 until = g_get_monotonic_time() + test_time_limit(10);

	while (!disk->held)
		if (!g_cond_wait_until(&disk->held_changed, &disk->mutex, until))
			return FALSE;
	return TRUE;
}

void disk_release(Disk *disk)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&disk->mutex);

	disk->hold_flush = 0;
	disk->held = FALSE;
	g_cond_broadcast(&disk->held_changed);
}

static void hold_locked(Disk *disk)
{
	if (!disk->hold_flush || --disk->hold_flush)
		return;
	disk->held = TRUE;
	g_cond_broadcast(&disk->held_changed);
	while (disk->held)
		g_cond_wait(&disk->held_changed, &disk->mutex);
}

/* Other threads may write while it runs; it does not cover these writes. */
static int disk_flush(Backing *backing)
{
	Disk *disk = disk_of(backing);
	guint64 covers = disk_now(disk).position;

	pass_time(disk);
	g_mutex_lock(&disk->mutex);
	hold_locked(disk);
	enter_locked(disk, (Entry){.kind = ENTRY_FLUSH, .offset = covers});
	g_mutex_unlock(&disk->mutex);
	return 0;
}

/* The last write of these bytes is on the disk when what follows in the log happens. */
static void note_durable_locked(Disk *disk, guint64 offset)
{
	for (guint i = disk->log->len; i-- > 0;) {
		Entry *entry = &g_array_index(disk->log, Entry, i);

		if (entry->kind != ENTRY_WRITE || entry->offset != offset)
			continue;
		entry->durable = position_locked(disk);
		return;
	}
}

/* A write, and an entry of a flush that covers nothing else. */
static int disk_write_durably(Backing *backing, const void *data, gsize length, guint64 offset)
{
	Disk *disk = disk_of(backing);
	struct iovec iov = {(void *)data, length};
	int r = disk_pwritev(backing, &iov, 1, offset, BACKING_WAIT);

	if (r)
		return r;
	pass_time(disk);
	g_mutex_lock(&disk->mutex);
	hold_locked(disk);
	note_durable_locked(disk, offset);
	enter_locked(disk, (Entry){.kind = ENTRY_FLUSH});
	g_mutex_unlock(&disk->mutex);
	return 0;
}

static int disk_punch(Backing *backing, guint64 offset, guint64 length)
{
	Disk *disk = disk_of(backing);
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&disk->mutex);

	enter_locked(disk, (Entry){.kind = ENTRY_PUNCH, .offset = offset, .length = length});
	return 0;
}

static guint64 disk_size(Backing *backing)
{
	Disk *disk = disk_of(backing);
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&disk->mutex);

	return image_size(disk->visible);
}

static int disk_grow(Backing *backing, guint64 size)
{
	Disk *disk = disk_of(backing);
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&disk->mutex);

	if (size > image_size(disk->visible))
		enter_locked(disk, (Entry){.kind = ENTRY_GROW, .offset = size});
	return 0;
}

/* The holder of the pointer is the only user, so the lock is always free. */
static gboolean disk_lock(Backing *backing, gboolean exclusive, GError **error)
{
	(void)backing, (void)exclusive, (void)error;
	return TRUE;
}

static void disk_backing_free(Backing *backing)
{
	g_free(backing);
}

static const BackingOps disk_ops = {
	.kind = "recording",
	.preadv = disk_preadv,
	.pwritev = disk_pwritev,
	.flush = disk_flush,
	.write_durably = disk_write_durably,
	.punch = disk_punch,
	.size = disk_size,
	.grow = disk_grow,
	.lock = disk_lock,
	.allocated = disk_size,
	.free = disk_backing_free,
};

Backing *disk_backing(Disk *disk)
{
	DiskBacking *backing = g_new0(DiskBacking, 1);

	backing_init(&backing->base, &disk_ops, "disk");
	backing->disk = disk;
	return &backing->base;
}

Moment disk_now(Disk *disk)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&disk->mutex);

	return (Moment){position_locked(disk), ++disk->ticks};
}

Image *disk_visible(Disk *disk)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&disk->mutex);

	return image_clone(disk->visible);
}

void disk_forget(Disk *disk)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&disk->mutex);

	image_free(disk->start);
	disk->start = image_clone(disk->visible);
	disk->forgotten += disk->log->len;
	g_array_set_size(disk->log, 0);
}

guint64 disk_forgotten(Disk *disk)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&disk->mutex);

	return disk->forgotten;
}

guint64 disk_last_write(Disk *disk, guint64 from, guint64 to)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&disk->mutex);

	for (guint i = disk->log->len; i-- > 0;) {
		const Entry *entry = &g_array_index(disk->log, Entry, i);

		if (entry->kind == ENTRY_WRITE && entry->offset >= from && entry->offset < to)
			return entry->offset + entry->length;
	}
	return 0;
}

guint64 disk_written_at(Disk *disk, guint64 position)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&disk->mutex);

	return g_array_index(disk->log, Entry, position - disk->forgotten).offset;
}

gboolean disk_save(Disk *disk, FILE *file)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&disk->mutex);
	gboolean good = image_save(disk->start, file) &&
			fwrite(&disk->forgotten, sizeof disk->forgotten, 1, file) == 1 &&
			fwrite(&disk->log->len, sizeof disk->log->len, 1, file) == 1;

	for (guint i = 0; good && i < disk->log->len; i++) {
		const Entry *entry = &g_array_index(disk->log, Entry, i);

		good = fwrite(entry, sizeof *entry, 1, file) == 1 &&
		       (!entry->data || fwrite(entry->data->bytes, entry->length, 1, file) == 1);
	}
	return good;
}

Disk *disk_load(FILE *file)
{
	g_autoptr(Image) start = image_load(file);
	g_autoptr(Disk) disk = start ? disk_new(start) : NULL;
	guint n;

	if (!disk || fread(&disk->forgotten, sizeof disk->forgotten, 1, file) != 1 ||
	    fread(&n, sizeof n, 1, file) != 1)
		return NULL;
	while (n--) {
		Entry entry;

		if (fread(&entry, sizeof entry, 1, file) != 1)
			return NULL;
		if (entry.data) {
			entry.data = g_malloc(sizeof(Data) + entry.length);
			entry.data->references = 1;
		}
		if (entry.data && fread(entry.data->bytes, entry.length, 1, file) != 1) {
			data_unref(entry.data);
			return NULL;
		}
		enter_locked(disk, entry);
	}
	return g_steal_pointer(&disk);
}

/* --- Cuts ------------------------------------------------------------------------------------- */

struct Cutter {
	Disk *disk;
	Image *durable;
	guint64 covered; /* entries before this one are in the image */
	guint64 cut;
	guint changes; /* from `covered` to `cut`, flushes not counted */
};

Cutter *cutter_new(Disk *disk)
{
	Cutter *cutter = g_new0(Cutter, 1);

	cutter->disk = disk;
	cutter->durable = image_clone(disk->start);
	cutter->covered = cutter->cut = disk->forgotten;
	return cutter;
}

void cutter_free(Cutter *cutter)
{
	image_free(cutter->durable);
	g_free(cutter);
}

static const Entry *entry_at(const Cutter *cutter, guint64 position)
{
	return &g_array_index(cutter->disk->log, Entry, position - cutter->disk->forgotten);
}

/* Whether a loss of power at the cut may leave the disk without this change. */
static gboolean is_open(const Cutter *cutter, const Entry *entry)
{
	return entry->kind != ENTRY_FLUSH && !(entry->durable && entry->durable < cutter->cut);
}

guint cutter_go(Cutter *cutter, guint64 cut)
{
	guint64 covers = cutter->covered;

	for (; cutter->cut < cut; cutter->cut++)
		if (entry_at(cutter, cutter->cut)->kind == ENTRY_FLUSH)
			covers = max_u64(covers, entry_at(cutter, cutter->cut)->offset);
	for (; cutter->covered < covers; cutter->covered++)
		apply(cutter->durable, entry_at(cutter, cutter->covered));
	cutter->changes = 0;
	for (guint64 i = cutter->covered; i < cut; i++)
		cutter->changes += is_open(cutter, entry_at(cutter, i));
	return cutter->changes;
}

/* Applies what is left of a torn write. */
static void apply_torn(Image *image, const Entry *entry, guint64 random)
{
	guint64 sectors = entry->length / SECTOR + 1, edge = (random >> 8) % sectors, number = 0;
	guint how = (guint)(random % 3);

	for (gsize done = 0, piece; done < entry->length; done += piece, number++) {
		guint64 at = entry->offset + done;

		piece = MIN(entry->length - done, SECTOR - at % SECTOR);
		if (how == 0 ? number < edge : how == 1 ? number >= edge : mix(random, number) & 1)
			put(image, entry, at, piece);
	}
}

/* Of 16 writes, the numbers that are absent and torn; the others are whole.  The proportions
 * differ, because a bug may need most of the writes to be there, or hardly any. */
static const struct {
	guint8 absent, torn;
} chances[4] = {{4, 4}, {1, 1}, {12, 2}, {2, 12}};

static void apply_by_chance(Image *image, const Entry *entry, guint64 random, guint kind)
{
	guint roll = (guint)(random % 16);

	if (roll < chances[kind].absent)
		return;
	if (roll < chances[kind].absent + chances[kind].torn && entry->kind == ENTRY_WRITE)
		apply_torn(image, entry, random >> 4);
	else
		apply(image, entry);
}

Image *cutter_make(Cutter *cutter, guint64 choice)
{
	Image *image = image_clone(cutter->durable);
	guint number = 0;

	for (guint64 i = cutter->covered; i < cutter->cut; i++) {
		const Entry *entry = entry_at(cutter, i);

		if (!is_open(cutter, entry)) {
			apply(image, entry);
			continue;
		}
		if ((choice & CHOICE_ALL_BUT(0)) == CHOICE_ALL_BUT(0)) {
			if (choice != CHOICE_ALL_BUT(number))
				apply(image, entry);
		} else if (choice & CHOICE_CHANCE)
			apply_by_chance(image, entry, mix(choice, i), (guint)(choice & 3));
		else if (number < CHOICE_MASK_BITS && choice >> number & 1)
			apply(image, entry);
		number++;
	}
	return image;
}

Disk *cutter_die(Cutter *cutter)
{
	Disk *disk = disk_new(cutter->durable);

	disk->forgotten = cutter->covered;
	disk->ticks = cutter->disk->ticks;
	for (guint64 i = cutter->covered; i < cutter->cut; i++) {
		Entry entry = *entry_at(cutter, i);

		if (entry.durable >= cutter->cut)
			entry.durable = 0;
		if (entry.data)
			g_atomic_int_inc(&entry.data->references);
		enter_locked(disk, entry);
	}
	return disk;
}
