/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams from one volume to another: the receiver's snapshots are the sender's, whatever
 * interrupts the transfer, and a stream that does not fit is refused before anything is written.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/autofd.h"
#include "common/base/error.h"
#include "common/base/units.h"
#include "common/engine/volume-private.h"
#include "common/engine/volume-receive.h"
#include "common/stream/stream-receive.h"
#include "common/stream/stream-send.h"
#include "common/stream/stream-writer.h"
#include "tests/backing/faulty.h"
#include "tests/backing/memory.h"
#include "tests/engine/snapshot-proof.h"
#include "tests/engine/support.h"

#define BLOCKS 3000u
#define SIZE (BLOCKS * (guint64)BLOCK_SIZE)
#define SNAPSHOTS 4u

/* ---- a volume with snapshots, and what each holds */

typedef struct {
	Place *place;
	Volume *volume;
	TestRandom random;
	guint64 size;
	guint8 content[BLOCKS]; /* of each block: the value of its bytes */
	guint n;
	guint8 snapshots[SNAPSHOTS][BLOCKS];
	VolumeSnapshotInfo infos[SNAPSHOTS];
} Sender;

static void sender_change(Sender *sender)
{
	guint64 blocks = sender->size / BLOCK_SIZE;

	for (guint i = 0; i < 60; i++) {
		guint64 first = test_random_below(&sender->random, blocks);
		guint64 n = 1 + test_random_below(&sender->random, 40);
		guint8 value = (guint8)(1 + test_random_below(&sender->random, 255));

		n = MIN(n, blocks - first);
		if (test_random_below(&sender->random, 4)) {
			volume_put_value(sender->volume, value, n * BLOCK_SIZE,
					 blocks_to_bytes(first));
		} else {
			value = 0;
			CHECK_INT(volume_discard(sender->volume, blocks_to_bytes(first),
						 n * BLOCK_SIZE),
				  0);
		}
		memset(sender->content + first, value, n);
	}
}

static void sender_snapshot(Sender *sender)
{
	g_autofree char *name = g_strdup_printf("s%u", sender->n);
	const VolumeSnapshotParameters parameters = {
		.name = name, .created = 1796000000 + sender->n, .frozen = sender->n % 2 == 1};
	guint64 generation;

	CHECK(volume_snapshot_begin(sender->volume, &parameters, &generation, NULL));
	CHECK(volume_snapshot_wait(sender->volume, generation, 60, NULL));
	g_autoptr(GArray) infos = volume_snapshots(sender->volume);
	sender->infos[sender->n] = g_array_index(infos, VolumeSnapshotInfo, infos->len - 1);
	memcpy(sender->snapshots[sender->n++], sender->content, BLOCKS);
}

static Sender *sender_new(void)
{
	static const guint64 sizes[SNAPSHOTS] = {SIZE - 4096, SIZE - 4096, SIZE / 2, SIZE};
	Sender *sender = g_new0(Sender, 1);

	sender->random = test_random_new(test_seed());
	sender->size = sizes[0];
	sender->volume = place_new_volume(&sender->place, sizes[0]);
	for (guint i = 0; i < SNAPSHOTS; i++) {
		if (sizes[i] != sender->size) {
			CHECK(volume_resize(sender->volume, sizes[i],
					    VOLUME_RESIZE_SHRINK | VOLUME_RESIZE_DISCARD, 60,
					    NULL));
			memset(sender->content + sizes[i] / BLOCK_SIZE, 0,
			       BLOCKS - sizes[i] / BLOCK_SIZE);
			sender->size = sizes[i];
		}
		sender_change(sender);
		sender_snapshot(sender);
	}
	sender_change(sender);
	return sender;
}

static void sender_free(Sender *sender)
{
	close_volume(sender->volume);
	CHECK(snapshots_prove(sender->place->memory, NULL, NULL));
	place_free(sender->place);
	g_free(sender);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Sender, sender_free)

static Volume *snapshot_open(Place *place, guint i)
{
	g_autofree char *name = g_strdup_printf("s%u", i);
	GError *error = NULL;
	Volume *volume =
		volume_open_snapshot(place_backing(place), "test", name, NULL, NULL, &error);

	CHECK_NO_ERROR(error);
	return volume;
}

/* The stream of snapshot `to`, from snapshot `from` on (-1: all of it). */
static int sender_stream(Sender *sender, int from, guint to, guint64 first)
{
	const VolumeSnapshotInfo *info = &sender->infos[to];
	StreamBegin begin = {.created = info->created,
			     .size = info->size,
			     .block_size = 512,
			     .frozen = info->frozen,
			     .resume = first,
			     .incremental = from >= 0};
	StreamSource source = {.first = first, .in_order = TRUE, .mark_bytes = 256 * KIB};
	VolumeInfo volume_info;
	int fd = memfd_create("stream", MFD_CLOEXEC);
	GError *error = NULL;

	volume_get_info(sender->volume, &volume_info);
	g_strlcpy(begin.volume, volume_info.uuid, sizeof begin.volume);
	begin.to.generation = info->generation;
	g_strlcpy(begin.to.uuid, info->uuid, sizeof begin.to.uuid);
	g_strlcpy(begin.to.name, info->name, sizeof begin.to.name);
	if (from >= 0) {
		begin.from.generation = source.since = sender->infos[from].generation;
		g_strlcpy(begin.from.uuid, sender->infos[from].uuid, sizeof begin.from.uuid);
		g_strlcpy(begin.from.name, sender->infos[from].name, sizeof begin.from.name);
		source.from = snapshot_open(sender->place, (guint)from);
	}
	source.to = snapshot_open(sender->place, to);
	CHECK(stream_send(&source, &begin, fd, NULL, NULL, &error));
	CHECK_NO_ERROR(error);
	volume_close(source.to, NULL);
	volume_close(source.from, NULL);
	lseek(fd, 0, SEEK_SET);
	return fd;
}

/* ---- a volume that receives */

static Place *receiver_new(void)
{
	Place *place = place_new_memory();

	place_format(place, 2 * MIB, 0);
	return place;
}

static Volume *receiver_open(Place *place)
{
	GError *error = NULL;
	Volume *volume = volume_open(place_backing(place), "receiver", VOLUME_OPEN_RECEIVE, &error);

	CHECK_NO_ERROR(error);
	return volume;
}

static gboolean receive(Volume *volume, int fd, StreamReceiveFlags flags, GError **error)
{
	g_autoptr(StreamReader) reader = stream_reader_new(fd);
	StreamBegin begin;

	return stream_reader_begin(reader, &begin, error) &&
	       stream_receive(volume, reader, &begin, flags, NULL, NULL, error);
}

static void check_content(Volume *volume, const guint8 *content, guint64 size)
{
	g_autofree guint8 *bytes = g_malloc(size);
	struct iovec iov = {bytes, size};

	CHECK_UINT(volume_size(volume), size);
	CHECK_INT(volume_read(volume, &iov, 1, 0, NULL), 0);
	for (guint64 i = 0; i < size / BLOCK_SIZE; i++)
		if (!CHECK(bytes[i * BLOCK_SIZE] == content[i] &&
			   !memcmp(bytes + i * BLOCK_SIZE, bytes + i * BLOCK_SIZE + 1,
				   BLOCK_SIZE - 1)))
			test_note("block %" G_GUINT64_FORMAT ": %u, wanted %u", i,
				  bytes[i * BLOCK_SIZE], content[i]);
}

/* The receiver has snapshot i as the sender has it. */
static void check_snapshot(const Sender *sender, Place *place, guint i)
{
	Volume *volume = snapshot_open(place, i);
	VolumeInfo info;

	if (!CHECK(volume != NULL))
		return;
	volume_get_info(volume, &info);
	CHECK_STR(info.uuid, sender->infos[i].uuid);
	check_content(volume, sender->snapshots[i], sender->infos[i].size);
	volume_close(volume, NULL);
}

static void receiver_end(Volume *volume, Place *place)
{
	close_volume(volume);
	CHECK(snapshots_prove(place->memory, NULL, NULL));
	CHECK(place_check(place));
}

/* ---- */

static void test_chain(const void *data)
{
	g_autoptr(Sender) sender = sender_new();
	g_autoptr(Place) place = receiver_new();
	Volume *volume = receiver_open(place);

	(void)data;
	for (guint i = 0; i < SNAPSHOTS; i++) {
		autofd fd = sender_stream(sender, (int)i - 1, i, 0);
		g_autoptr(GError) error = NULL;
		VolumeReceiving none;

		test_row("stream %u", i);
		CHECK(receive(volume, fd, 0, &error));
		CHECK_NO_ERROR(error);
		CHECK(!volume_receive_get(volume, &none));
		check_content(volume, sender->snapshots[i], sender->infos[i].size);
	}
	g_autoptr(GArray) infos = volume_snapshots(volume);
	CHECK_UINT(infos->len, SNAPSHOTS);
	for (guint i = 0; i < infos->len; i++) {
		const VolumeSnapshotInfo *info = &g_array_index(infos, VolumeSnapshotInfo, i);

		CHECK_STR(info->name, sender->infos[i].name);
		CHECK_STR(info->uuid, sender->infos[i].uuid);
		CHECK_STR(info->parent_uuid, sender->infos[i].parent_uuid);
		CHECK_INT(info->created, sender->infos[i].created);
		CHECK(info->frozen == sender->infos[i].frozen);
		CHECK_INT(info->state, VOLUME_SNAPSHOT_ALIVE);
	}
	receiver_end(volume, place);
	for (guint i = 0; i < SNAPSHOTS; i++)
		check_snapshot(sender, place, i);
	volume = place_open(place); /* and it opens like any volume */
	receiver_end(volume, place);
}

/* Streams that are cut anywhere, receivers that die or end, until all has arrived. */
static void test_interrupted(const void *data)
{
	g_autoptr(Sender) sender = sender_new();
	guint resumed = 0;

	(void)data;
	for (guint round = 0; round < (test_is_instrumented() ? 3 : 12); round++) {
		g_autoptr(Place) place = receiver_new();
		Volume *volume = receiver_open(place);

		for (guint i = 0; i < SNAPSHOTS; i++) {
			gboolean done = FALSE;

			for (guint attempt = 0; !done && attempt < 100; attempt++) {
				g_autoptr(GError) error = NULL;
				StreamToken token = {.next = 0};

				if (stream_receive_token(volume, &token, NULL)) {
					CHECK_STR(token.to, sender->infos[i].uuid);
					CHECK_STR(token.from, i ? sender->infos[i - 1].uuid : "");
					resumed += token.next > 0;
				}
				autofd fd = sender_stream(sender, (int)i - 1, i, token.next);
				off_t length = lseek(fd, 0, SEEK_END);
				if (attempt < 3)
					CHECK(!ftruncate(
						fd, (off_t)test_random_below(&sender->random,
									     (guint64)length)));
				lseek(fd, 0, SEEK_SET);
				done = receive(volume, fd, 0, &error);
				if (!done)
					CHECK_ERROR(error, STORAGEOS_ERROR_CORRUPT,
						    "the stream is cut off here");
				if (attempt % 2)
					volume_abandon(volume);
				else
					close_volume(volume);
				volume = receiver_open(place);
			}
			CHECK(done);
		}
		receiver_end(volume, place);
		for (guint i = 0; i < SNAPSHOTS; i++)
			check_snapshot(sender, place, i);
	}
	CHECK(resumed > 0);
	test_note("resumed %u times", resumed);
}

/* ---- what is refused */

/* Receiving fails so, and changes nothing. */
static void check_refused(Place *place, Volume **volume, int fd, StreamReceiveFlags flags, int code,
			  const char *message)
{
	g_autoptr(GError) error = NULL;
	VolumeReceiving none;
	VolumeInfo before, after;

	volume_get_info(*volume, &before);
	CHECK(!receive(*volume, fd, flags, &error));
	CHECK_ERROR(error, code, message);
	CHECK(!volume_receive_get(*volume, &none));
	volume_get_info(*volume, &after);
	CHECK_UINT(after.data_bytes, before.data_bytes);
	CHECK_UINT(after.size, before.size);
	(void)place;
}

static void test_refused(const void *data)
{
	g_autoptr(Sender) sender = sender_new();
	g_autoptr(Place) place = receiver_new();
	Volume *volume = receiver_open(place);

	(void)data;
	autofd second = sender_stream(sender, 0, 1, 0);
	test_row("a stream whose base is missing");
	check_refused(place, &volume, second, 0, STORAGEOS_ERROR_NOT_FOUND,
		      "the stream goes on from snapshot 's0'");
	autofd rest = sender_stream(sender, -1, 0, 100);
	test_row("the rest of a stream");
	check_refused(place, &volume, rest, 0, STORAGEOS_ERROR_INVALID, "is the rest of one");
	autofd first = sender_stream(sender, -1, 0, 0);
	CHECK(receive(volume, first, 0, NULL));
	test_row("all, once more");
	lseek(first, 0, SEEK_SET);
	check_refused(place, &volume, first, 0, STORAGEOS_ERROR_INVALID, "is not empty");
	test_row("in the wrong order");
	autofd third = sender_stream(sender, 1, 2, 0);
	check_refused(place, &volume, third, 0, STORAGEOS_ERROR_NOT_FOUND,
		      "goes on from snapshot 's1'");
	test_row("changed meanwhile");
	volume_put_value(volume, 77, BLOCK_SIZE, 0);
	lseek(second, 0, SEEK_SET);
	check_refused(place, &volume, second, 0, STORAGEOS_ERROR_INVALID,
		      "the volume has changed since snapshot 's0'");
	test_row("the snapshot is there");
	lseek(second, 0, SEEK_SET);
	GError *error = NULL;
	CHECK(receive(volume, second, STREAM_RECEIVE_FORCE, &error));
	CHECK_NO_ERROR(error);
	check_content(volume, sender->snapshots[1], sender->infos[1].size);
	autofd again = sender_stream(sender, 0, 1, 0);
	check_refused(place, &volume, again, STREAM_RECEIVE_FORCE, STORAGEOS_ERROR_EXISTS,
		      "there is a snapshot 's1' already");
	receiver_end(volume, place);
}

/* What was given up by --force is a snapshot. */
static void test_force(const void *data)
{
	g_autoptr(Sender) sender = sender_new();
	g_autoptr(Place) place = receiver_new();
	Volume *volume = receiver_open(place);
	gboolean found = FALSE;

	(void)data;
	autofd first = sender_stream(sender, -1, 0, 0), second = sender_stream(sender, 0, 1, 0);
	CHECK(receive(volume, first, 0, NULL));
	volume_put_value(volume, 77, BLOCK_SIZE, 0);
	CHECK(receive(volume, second, STREAM_RECEIVE_FORCE, NULL));
	g_autoptr(GArray) infos = volume_snapshots(volume);
	for (guint i = 0; i < infos->len; i++)
		found |= g_str_has_prefix(g_array_index(infos, VolumeSnapshotInfo, i).name,
					  "before-rollback-");
	CHECK(found);
	receiver_end(volume, place);
	check_snapshot(sender, place, 1);
}

/* ---- a transfer that is under way */

static Volume *receiver_half(Sender *sender, Place *place)
{
	Volume *volume = receiver_open(place);
	autofd first = sender_stream(sender, -1, 0, 0), second = sender_stream(sender, 0, 1, 0);
	g_autoptr(GError) error = NULL;

	CHECK(receive(volume, first, 0, &error));
	CHECK_NO_ERROR(error);
	CHECK(!ftruncate(second, lseek(second, 0, SEEK_END) * 2 / 3));
	lseek(second, 0, SEEK_SET);
	CHECK(!receive(volume, second, 0, NULL));
	return volume;
}

static void test_under_way(const void *data)
{
	g_autoptr(Sender) sender = sender_new();
	g_autoptr(Place) place = receiver_new();
	Volume *volume = receiver_half(sender, place);
	g_autoptr(GError) other = NULL, late = NULL, open = NULL;
	VolumeReceiving now;

	(void)data;
	REQUIRE(volume_receive_get(volume, &now));
	CHECK_STR(now.name, "s1");
	CHECK(now.received > 0);
	autofd third = sender_stream(sender, 0, 2, 0);
	CHECK(!receive(volume, third, 0, &other));
	CHECK_ERROR(other, STORAGEOS_ERROR_BUSY, "the volume receives snapshot 's1'");
	autofd rest = sender_stream(sender, 0, 1, now.received + 1);
	CHECK(!receive(volume, rest, 0, &late));
	CHECK_ERROR(late, STORAGEOS_ERROR_INVALID, "the token has changed");
	receiver_end(volume, place);

	volume = volume_open(place_backing(place), "test", 0, &open);
	CHECK(!volume);
	CHECK_ERROR(open, STORAGEOS_ERROR_BUSY, "snapshot 's1' is being received into it");
	volume = volume_open(place_backing(place), "test", VOLUME_OPEN_READ_ONLY, NULL);
	CHECK(volume != NULL);
	volume_close(volume, NULL);

	/* From the start is as good as from the mark. */
	volume = receiver_open(place);
	autofd all = sender_stream(sender, 0, 1, 0);
	CHECK(receive(volume, all, 0, NULL));
	receiver_end(volume, place);
	check_snapshot(sender, place, 1);
}

/* The rest of the transfer as somebody may make it up: of another size, with a mark behind the end
 * of the snapshot. */
static int forged_rest(const Sender *sender, guint64 size)
{
	StreamBegin begin = {.created = 1, .size = size, .block_size = 512, .incremental = TRUE};
	int fd = memfd_create("stream", MFD_CLOEXEC);
	g_autoptr(StreamWriter) writer = stream_writer_new(fd);

	g_strlcpy(begin.volume, sender->infos[0].uuid, sizeof begin.volume);
	begin.to.generation = begin.from.generation = 1;
	g_strlcpy(begin.to.uuid, sender->infos[1].uuid, sizeof begin.to.uuid);
	g_strlcpy(begin.to.name, sender->infos[1].name, sizeof begin.to.name);
	g_strlcpy(begin.from.uuid, sender->infos[0].uuid, sizeof begin.from.uuid);
	g_strlcpy(begin.from.name, sender->infos[0].name, sizeof begin.from.name);
	CHECK(stream_writer_begin(writer, &begin, NULL));
	CHECK(stream_writer_mark(writer, size / BLOCK_SIZE, NULL));
	lseek(fd, 0, SEEK_SET);
	return fd;
}

/* A volume whose record says more than its snapshot has could not be opened any more. */
static void test_forged_rest(const void *data)
{
	g_autoptr(Sender) sender = sender_new();
	g_autoptr(Place) place = receiver_new();
	Volume *volume = receiver_half(sender, place);
	g_autoptr(GError) error = NULL, mark = NULL;

	(void)data;
	autofd rest = forged_rest(sender, 16 * GIB);
	CHECK(!receive(volume, rest, 0, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_INVALID, "the transfer began with");
	CHECK_UINT(volume_size(volume), sender->infos[1].size);
	CHECK(!volume_receive_mark(volume, sender->infos[1].size / BLOCK_SIZE + 1, &mark));
	CHECK_ERROR(mark, STORAGEOS_ERROR_INVALID, NULL);
	close_volume(volume);
	volume = receiver_open(place);
	REQUIRE(volume != NULL);
	autofd all = sender_stream(sender, 0, 1, 0);
	CHECK(receive(volume, all, 0, NULL));
	receiver_end(volume, place);
	check_snapshot(sender, place, 1);
}

static void test_abort(const void *data)
{
	g_autoptr(Sender) sender = sender_new();
	g_autoptr(Place) place = receiver_new();
	Volume *volume = receiver_half(sender, place);
	g_autoptr(GError) error = NULL;
	gboolean empty = TRUE;
	StreamToken token;

	(void)data;
	CHECK(stream_receive_abort(volume, &empty, &error));
	CHECK_NO_ERROR(error);
	CHECK(!empty);
	check_content(volume, sender->snapshots[0], sender->infos[0].size);
	CHECK(!stream_receive_token(volume, &token, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_NOT_FOUND, "no stream is being received");
	g_clear_error(&error);
	CHECK(!stream_receive_abort(volume, &empty, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_NOT_FOUND, "no stream is being received");
	/* It can receive again, without force. */
	autofd second = sender_stream(sender, 0, 1, 0);
	CHECK(receive(volume, second, 0, NULL));
	receiver_end(volume, place);
	check_snapshot(sender, place, 1);
	volume = place_open(place);
	receiver_end(volume, place);
}

static void test_abort_all(const void *data)
{
	g_autoptr(Sender) sender = sender_new();
	g_autoptr(Place) place = receiver_new();
	Volume *volume = receiver_open(place);
	gboolean empty = FALSE;

	(void)data;
	autofd first = sender_stream(sender, -1, 0, 0);
	CHECK(!ftruncate(first, lseek(first, 0, SEEK_END) / 2));
	lseek(first, 0, SEEK_SET);
	CHECK(!receive(volume, first, 0, NULL));
	CHECK(stream_receive_abort(volume, &empty, NULL));
	CHECK(empty);
	close_volume(volume);
}

/* The process dies at the n-th change of the backing. */
static gboolean die_at(guint64 offset, guint64 length, gpointer data)
{
	(void)offset, (void)length;
	return g_atomic_int_add((gint *)data, -1) > 0;
}

/* Has the process die after `n` changes.  Returns how many there were; *ret_refused: the volume is
 * still receiving. */
static gint abort_interrupted(Sender *sender, Place *place, gint n, gboolean *ret_refused)
{
	Volume *volume;
	gboolean empty;
	gint left = n;

	close_volume(receiver_half(sender, place));
	volume = volume_open(backing_borrow_gated(place->memory, die_at, &left), "receiver",
			     VOLUME_OPEN_RECEIVE, NULL);
	if (volume) {
		stream_receive_abort(volume, &empty, NULL);
		volume_abandon(volume);
	}
	volume = volume_open(place_backing(place), "test", 0, NULL);
	*ret_refused = !volume;
	if (volume) {
		check_content(volume, sender->snapshots[0], sender->infos[0].size);
		close_volume(volume);
	}
	return n - left;
}

/* Wherever giving up is interrupted: the volume cannot be attached, or it is what it was. */
static void test_abort_interrupted(const void *data)
{
	g_autoptr(Sender) sender = sender_new();
	guint points = test_is_instrumented() ? 8 : 32, refused = 0;
	gint all = 0;

	(void)data;
	for (guint i = 0; i <= points && !test_failed(); i++) {
		g_autoptr(Place) place = receiver_new();
		gint n = i ? (gint)((guint)all * i / (points + 1)) : G_MAXINT;
		gboolean is_refused;
		Volume *volume;
		gint made;

		test_row("after %d changes of %d", n, all);
		made = abort_interrupted(sender, place, n, &is_refused);
		all = MAX(all, made);
		refused += is_refused;
		if (!is_refused || refused % 4)
			continue;
		/* A stream from the start completes it. */
		volume = receiver_open(place);
		autofd again = sender_stream(sender, 0, 1, 0);
		CHECK(receive(volume, again, 0, NULL));
		receiver_end(volume, place);
		check_snapshot(sender, place, 1);
	}
	test_note("refused at %u of %u points", refused, points);
	CHECK(refused > 0 && refused < points);
}

/* ---- a table that is full, a disk that is */

static void fill_table(Engine *engine, gpointer left)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(slots_lists_lock(engine->slots));
	Snapshots *snapshots = engine->snapshots;
	SnapshotHold hold = {.class = FORMAT_HOLD_USER,
			     .generation = snapshots_head_parent_locked(snapshots)};

	for (guint i = 0; snapshots_have_room_locked(snapshots, 1 + GPOINTER_TO_UINT(left)); i++) {
		g_snprintf(hold.tag, sizeof hold.tag, "hold-%u", i);
		if (!CHECK_INT(snapshots_keep_unlocking(snapshots, 1), 0))
			return;
		snapshots_add_hold_locked(snapshots, &hold);
	}
}

/* A transfer that has begun can end, and be given up, however many records there are: nothing else
 * can be done with the volume then. */
static void test_full_table(const void *data)
{
	g_autoptr(Sender) sender = sender_new();

	(void)data;
	for (guint left = 1; left <= 2; left++) {
		g_autoptr(Place) place = receiver_new();
		Volume *volume = receiver_open(place);
		g_autoptr(GError) error = NULL;
		VolumeReceiving now;
		gboolean empty;

		test_row("room for %u", left);
		autofd first = sender_stream(sender, -1, 0, 0);
		autofd second = sender_stream(sender, 0, 1, 0);
		CHECK(receive(volume, first, 0, NULL));
		checkpointer_call(volume->checkpointer, fill_table, GUINT_TO_POINTER(left));
		CHECK(!ftruncate(second, lseek(second, 0, SEEK_END) * 2 / 3));
		lseek(second, 0, SEEK_SET);
		CHECK(!receive(volume, second, 0, &error));
		CHECK(volume_receive_get(volume, &now) == (left == 2));
		if (left == 1) {
			CHECK_ERROR(error, STORAGEOS_ERROR_NO_SPACE, "snapshots");
		} else {
			autofd all = sender_stream(sender, 0, 1, 0);
			CHECK(stream_receive_abort(volume, &empty, NULL));
			check_content(volume, sender->snapshots[0], sender->infos[0].size);
			CHECK(volume_settled(volume, volume_settle(volume), 60));
			CHECK(receive(volume, all, 0, NULL));
		}
		receiver_end(volume, place);
		check_snapshot(sender, place, left - 1);
	}
}

/* Has all that arrived become the snapshot while write number `n` of the backing fails, and all
 * behind it if `for_ever`.  FALSE: the volume has FAILED. */
static gboolean receive_end_full(Place *place, Volume *volume, guint n, gboolean for_ever)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *failure = NULL;
	gboolean done;

	backing_faulty_fail(place->memory, FAULTY_WRITE, n, ENOSPC, for_ever, FALSE);
	done = volume_receive_end(volume, &error);
	failure = volume_failure(volume);
	if (for_ever || failure) {
		volume_abandon(volume);
		backing_faulty_fail(place->memory, 0, 0, 0, FALSE, FALSE);
	} else {
		if (!done)
			CHECK_ERROR(error, STORAGEOS_ERROR_NO_SPACE, NULL);
		backing_faulty_fail(place->memory, 0, 0, 0, FALSE, FALSE);
		close_volume(volume);
	}
	return !failure;
}

/* Wherever the disk is full in the last checkpoint of a transfer: the volume is still receiving, or
 * it has the snapshot. */
static void test_full_at_the_end(const void *data)
{
	g_autoptr(Sender) sender = sender_new();
	guint failed = 0;

	(void)data;
	for (guint n = 0; n < 32 && failed < 2 && !test_failed(); n++) {
		g_autoptr(Place) place = place_new_memory();
		autofd all = sender_stream(sender, -1, 0, 0);
		VolumeReceiving now;
		Volume *volume;

		test_row("write %u%s", n / 2, n % 2 ? " and all behind it" : "");
		backing_free(place->memory);
		place->memory = backing_faulty_new(0);
		place_format(place, 2 * MIB, 0);
		volume = receiver_open(place);
		CHECK(!ftruncate(all, lseek(all, 0, SEEK_END) - 1)); /* without END */
		lseek(all, 0, SEEK_SET);
		CHECK(!receive(volume, all, 0, NULL));
		CHECK(volume_receive_mark(volume, sender->infos[0].size / BLOCK_SIZE, NULL));
		failed += !receive_end_full(place, volume, n / 2, n % 2);
		volume = receiver_open(place);
		REQUIRE(volume != NULL);
		if (volume_receive_get(volume, &now))
			CHECK(volume_receive_end(volume, NULL));
		receiver_end(volume, place);
		check_snapshot(sender, place, 0);
	}
}

int main(int argc, char **argv)
{
	test_add("a chain of streams makes the sender's snapshots", test_chain, NULL);
	test_add("interrupted transfers are completed", test_interrupted, NULL);
	test_add("a stream that does not fit is refused", test_refused, NULL);
	test_add("what was there before --force is kept", test_force, NULL);
	test_add("while a transfer is under way, nothing else is", test_under_way, NULL);
	test_add("the rest of a transfer has the size of its beginning", test_forged_rest, NULL);
	test_add("a transfer can be given up", test_abort, NULL);
	test_add("a transfer of everything can be given up", test_abort_all, NULL);
	test_add("giving up is interrupted anywhere", test_abort_interrupted, NULL);
	test_add("a transfer that has begun has its place in the table", test_full_table, NULL);
	test_add("the disk is full at the end of a transfer", test_full_at_the_end, NULL);
	return test_run(argc, argv);
}
