/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a transfer meets at its limits: streams that somebody made up, a table of snapshots without
 * room, a full disk.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/stream/stream-writer.h"
#include "tests/backing/faulty.h"
#include "tests/engine/stream-world.h"

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
	test_add("the rest of a transfer has the size of its beginning", test_forged_rest, NULL);
	test_add("a transfer that has begun has its place in the table", test_full_table, NULL);
	test_add("the disk is full at the end of a transfer", test_full_at_the_end, NULL);
	return test_run(argc, argv);
}
