/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever is received into a volume, the snapshots that it has stay as they are, and check finds
 * nothing wrong with it.  What has not arrived whole can be given up, and the volume then is what
 * it was.
 *
 *     u8 mode    bit 0: the rest is a file of Ceph's, otherwise a list of frames (stream-frames.h);
 *                bit 1: the volume is new, otherwise it has snapshot monday; bit 2: it has changed
 *                since; bit 3: it may go back; bit 4: what was cut off is received once more
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/autofd.h"
#include "common/base/units.h"
#include "common/check/check.h"
#include "common/engine/volume-receive.h"
#include "common/stream/stream-receive.h"
#include "tests/backing/memory.h"
#include "tests/engine/support.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/stream-frames.h"

#define SIZE (4 * MIB + SECTOR_SIZE)
#define WRITTEN (64 * KIB) /* of snapshot monday, from byte 0 and from 1 MiB on */
#define SIZE_WANTED                                                                                \
	(16 * MIB) /* a stream for a larger volume is not received: it takes too long              \
		    */

static const guint8 monday[16] = {0x30, 0xd7, 0xa7, 0xa6, 0x7b, 0xd5, 0x4d, 0x3e,
				  0x9f, 0x0c, 0x3f, 0x8f, 0x6b, 0x1f, 0x3b, 0x03};

static Backing *backing_new(guint mode)
{
	const VolumeParameters parameters = {.size = SIZE, .journal_size = 64 * KIB};
	const VolumeSnapshotParameters snapshot = {.name = "monday", .uuid = monday, .created = 1};
	Backing *memory = backing_memory_new(0);
	guint64 generation;
	Volume *volume;

	fuzz_assert(volume_format(memory, &parameters, NULL));
	volume = volume_open(backing_borrow(memory), "fuzz", 0, NULL);
	fuzz_assert(volume);
	if (!(mode & 2)) {
		fuzz_assert(!volume_put_value(volume, 'a', WRITTEN, 0));
		fuzz_assert(!volume_put_value(volume, 'b', WRITTEN, MIB));
		fuzz_assert(volume_snapshot_begin(volume, &snapshot, &generation, NULL));
		fuzz_assert(volume_snapshot_wait(volume, generation, 60, NULL));
		if (mode & 4)
			fuzz_assert(!volume_put_value(volume, 'c', BLOCK_SIZE, 0));
	}
	fuzz_assert(volume_close(volume, NULL));
	return memory;
}

static void content_check(Volume *volume)
{
	guint8 bytes[WRITTEN], wanted[WRITTEN];

	for (guint i = 0; i < 2; i++) {
		memset(wanted, 'a' + (int)i, sizeof wanted);
		fuzz_assert(!volume_get(volume, bytes, sizeof bytes, i * MIB));
		fuzz_assert(!memcmp(bytes, wanted, sizeof bytes));
	}
}

/* Snapshot monday is as it was. */
static void monday_check(Backing *memory)
{
	Volume *volume =
		volume_open_snapshot(backing_borrow(memory), "fuzz", "monday", NULL, NULL, NULL);

	fuzz_assert(volume && volume_size(volume) == SIZE);
	content_check(volume);
	fuzz_assert(volume_close(volume, NULL));
}

static int input_open(guint mode, const guint8 *data, gsize size)
{
	g_autoptr(GByteArray) frames = mode & 1 ? NULL : fuzz_frames(data, size);
	int fd = memfd_create("stream", MFD_CLOEXEC);
	gsize length = frames ? frames->len : size;

	fuzz_assert(write(fd, frames ? frames->data : data, length) == (gssize)length);
	lseek(fd, 0, SEEK_SET);
	return fd;
}

static gboolean receive_rbd(Volume *volume, int fd, StreamReceiveFlags flags)
{
	g_autoptr(StreamRbdReader) reader = stream_rbd_reader_new(fd);
	g_auto(StreamRbdHead) head = {0};

	return stream_rbd_reader_begin(reader, &head, NULL) && head.to &&
	       head.size <= SIZE_WANTED &&
	       stream_receive_rbd(volume, reader, &head, flags, NULL, NULL, NULL);
}

static gboolean receive_stream(Volume *volume, int fd, StreamReceiveFlags flags)
{
	g_autoptr(StreamReader) reader = stream_reader_new(fd);
	StreamBegin begin;

	return stream_reader_begin(reader, &begin, NULL) && begin.size <= SIZE_WANTED &&
	       stream_receive(volume, reader, &begin, flags, NULL, NULL, NULL);
}

static gboolean receive(Volume *volume, guint mode, const guint8 *data, gsize size)
{
	StreamReceiveFlags flags = mode & 8 ? STREAM_RECEIVE_FORCE : 0;
	autofd fd = input_open(mode, data, size);

	return mode & 1 ? receive_rbd(volume, fd, flags) : receive_stream(volume, fd, flags);
}

/* What has arrived in part can be given up. */
static void give_up(Volume *volume, guint mode)
{
	VolumeReceiving receiving;
	StreamToken token;
	gboolean empty;

	if (!volume_receive_get(volume, &receiving))
		return;
	fuzz_assert(stream_receive_token(volume, &token, NULL));
	fuzz_assert(stream_receive_abort(volume, &empty, NULL));
	fuzz_assert(!volume_receive_get(volume, &receiving));
	fuzz_assert(empty == ((mode & 2) != 0));
	if (!empty)
		content_check(volume);
}

/* A volume that was opened again goes on. */
static Volume *open_again(Volume *volume, Backing *memory)
{
	volume_abandon(volume);
	volume = volume_open(backing_borrow(memory), "fuzz", VOLUME_OPEN_RECEIVE, NULL);
	fuzz_assert(volume);
	return volume;
}

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
	guint mode = size ? data[0] : 0;
	Backing *memory = backing_new(mode);
	Volume *volume = volume_open(backing_borrow(memory), "fuzz", VOLUME_OPEN_RECEIVE, NULL);
	g_autoptr(CheckResult) result = NULL;
	gboolean whole;

	fuzz_assert(volume);
	data += size != 0;
	size -= size != 0;
	whole = receive(volume, mode, data, size);
	if (!whole && mode & 16) {
		volume = open_again(volume, memory);
		whole = receive(volume, mode, data, size);
	}
	if (!whole)
		give_up(volume, mode);
	fuzz_assert(volume_close(volume, NULL));
	result = check_run(memory, NULL, NULL, NULL);
	fuzz_assert(result && !result->errors);
	if (!(mode & 2))
		monday_check(memory);
	backing_free(memory);
	return 0;
}
