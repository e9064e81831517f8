/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams from one volume to another: the receiver's snapshots are the sender's, whatever
 * interrupts the transfer, and a stream that does not fit is refused before anything is written.
 */
#include <unistd.h>

#include "tests/engine/stream-world.h"

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
		CHECK(i || !is_refused);
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
	CHECK(refused > 0); /* with a sanitizer, perhaps at all of them */
}

int main(int argc, char **argv)
{
	test_add("a chain of streams makes the sender's snapshots", test_chain, NULL);
	test_add("interrupted transfers are completed", test_interrupted, NULL);
	test_add("a stream that does not fit is refused", test_refused, NULL);
	test_add("what was there before --force is kept", test_force, NULL);
	test_add("while a transfer is under way, nothing else is", test_under_way, NULL);
	test_add("a transfer can be given up", test_abort, NULL);
	test_add("a transfer of everything can be given up", test_abort_all, NULL);
	test_add("giving up is interrupted anywhere", test_abort_interrupted, NULL);
	return test_run(argc, argv);
}
