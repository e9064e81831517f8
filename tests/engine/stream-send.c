/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stream_send() and its like write is the content of the volume, wherever a stream begins.  A
 * volume in which nothing changes stands for a snapshot.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/autofd.h"
#include "common/base/error.h"
#include "common/base/units.h"
#include "common/engine/volume-private.h"
#include "common/stream/stream-reader.h"
#include "common/stream/stream-rbd.h"
#include "common/stream/stream-send.h"
#include "tests/engine/support.h"

#define SIZE (96 * MIB + 512) /* more than one window; ends inside of a block */
#define BLOCKS (SIZE / BLOCK_SIZE + 1)
#define UUID "10d7a7a6-7bd5-4d3e-9f0c-3f8f6b1f2b01"

typedef struct {
	Place *place;
	Volume *volume;
	guint8 *content;
} Scene;

static void scene_write(Scene *scene, TestRandom *random, guint64 offset, gsize length)
{
	test_random_fill(random, scene->content + offset, length);
	CHECK_INT(volume_put(scene->volume, scene->content + offset, length, offset), 0);
}

/* From now on nothing changes: not even idle work of the engine, which a snapshot would not notice.
 */
static void scene_freeze(Scene *scene)
{
	close_volume(scene->volume);
	scene->volume =
		volume_open(place_backing(scene->place), "frozen", VOLUME_OPEN_READ_ONLY, NULL);
	CHECK(scene->volume != NULL);
}

/* A volume that was written in one piece, of which parts were written again and discarded. */
static Scene *scene_new_changing(void)
{
	Scene *scene = g_new0(Scene, 1);
	TestRandom random = test_random_new(test_seed());

	scene->content = g_malloc0(SIZE);
	scene->volume = place_new_volume(&scene->place, SIZE);
	for (guint64 at = 0; at < 70 * MIB; at += MIB)
		scene_write(scene, &random, at, MIB);
	for (guint i = 0; i < 500; i++)
		scene_write(scene, &random, test_random_below(&random, BLOCKS - 1) * BLOCK_SIZE,
			    BLOCK_SIZE);
	scene_write(scene, &random, SIZE - 512, 512);
	memset(scene->content + 3 * MIB, 0, 5 * MIB);
	CHECK_INT(volume_discard(scene->volume, 3 * MIB, 5 * MIB), 0);
	CHECK_INT(volume_checkpoint(scene->volume), 0);
	return scene;
}

static Scene *scene_new(void)
{
	Scene *scene = scene_new_changing();

	scene_freeze(scene);
	return scene;
}

static void scene_free(Scene *scene)
{
	close_volume(scene->volume);
	place_free(scene->place);
	g_free(scene->content);
	g_free(scene);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Scene, scene_free)

static guint64 progress_data;

static void progress(gpointer data, const StreamTotals *totals)
{
	(void)data;
	CHECK(totals->data >= progress_data);
	progress_data = totals->data;
}

/* ---- streams */

static int send_stream(const Scene *scene, guint64 first, guint64 since)
{
	const StreamBegin begin = {.volume = UUID,
				   .to = {UUID, "tuesday", 12},
				   .from = {UUID, "monday", since},
				   .incremental = since != 0,
				   .size = SIZE,
				   .block_size = 512,
				   .resume = first};
	const StreamSource source = {.to = scene->volume, .since = since, .first = first};
	int fd = memfd_create("stream", MFD_CLOEXEC);
	GError *error = NULL;

	progress_data = 0;
	CHECK(stream_send(&source, &begin, fd, progress, NULL, &error));
	CHECK_NO_ERROR(error);
	lseek(fd, 0, SEEK_SET);
	return fd;
}

/* Applies a stream to the content. */
static guint stream_apply(int fd, guint8 *content)
{
	g_autoptr(StreamReader) reader = stream_reader_new(fd);
	StreamItem item = {.type = STREAM_BEGIN};
	g_autoptr(GError) error = NULL;
	StreamBegin begin;
	StreamRange range;
	guint frames = 0;

	CHECK(stream_reader_begin(reader, &begin, &error));
	for (; item.type != STREAM_END; frames++) {
		if (!CHECK(stream_reader_next(reader, &item, &error)))
			break;
		if (item.type != STREAM_DATA && item.type != STREAM_ZERO)
			continue;
		while (stream_ranges_next(&item.ranges, &range))
			if (range.bytes)
				memcpy(content + range.offset, range.bytes, range.length);
			else
				memset(content + range.offset, 0, range.length);
	}
	CHECK_NO_ERROR(error);
	CHECK_UINT(item.totals.data, progress_data);
	return frames;
}

static void test_stream(const void *data)
{
	g_autoptr(Scene) scene = scene_new();
	g_autofree guint8 *content = g_malloc0(SIZE);
	autofd fd = send_stream(scene, 0, 0);

	(void)data;
	/* Frames are as long as they may be. */
	CHECK(stream_apply(fd, content) < 2 * 96);
	CHECK_MEM(content, scene->content, SIZE);
}

static void test_resume(const void *data)
{
	g_autoptr(Scene) scene = scene_new();
	TestRandom random = test_random_new(test_seed());

	(void)data;
	for (guint i = 0; i < 6; i++) {
		guint64 first = i ? test_random_below(&random, BLOCKS + 1) : BLOCKS;
		g_autofree guint8 *content = g_malloc0(SIZE);
		autofd fd = send_stream(scene, first, 0);

		test_row("from block %" G_GUINT64_FORMAT " on", first);
		stream_apply(fd, content);
		CHECK_ZERO(content, MIN(first * BLOCK_SIZE, SIZE));
		for (guint64 at = first * BLOCK_SIZE; at < SIZE; at += BLOCK_SIZE)
			CHECK(!memcmp(content + at, scene->content + at,
				      MIN(BLOCK_SIZE, SIZE - at)));
	}
}

/* Against a bookmark: what was written later, and the holes of what changed. */
static void test_incremental(const void *data)
{
	g_autoptr(Scene) scene = scene_new_changing();
	g_autofree guint8 *content = g_malloc(SIZE);
	TestRandom random = test_random_new(test_seed() + 1);
	VolumeInfo info, tidied;

	(void)data;
	volume_get_info(scene->volume, &info);
	memcpy(content, scene->content, SIZE);
	for (guint i = 0; i < 100; i++)
		scene_write(scene, &random, test_random_below(&random, BLOCKS - 1) * BLOCK_SIZE,
			    BLOCK_SIZE);
	CHECK_INT(volume_discard(scene->volume, 20 * MIB, 4096 * 10), 0);
	memset(scene->content + 20 * MIB, 0, 4096 * 10);
	/* On a machine so slow that the volume seemed to be idle, also what was moved meanwhile. */
	volume_get_info(scene->volume, &tidied);
	scene_freeze(scene);
	autofd fd = send_stream(scene, 0, info.generation);
	stream_apply(fd, content);
	CHECK_MEM(content, scene->content, SIZE);
	test_note("%" G_GUINT64_FORMAT " bytes, %" G_GUINT64_FORMAT " tidied", progress_data,
		  tidied.tidied_bytes);
	CHECK(progress_data <= 100 * BLOCK_SIZE + tidied.tidied_bytes);
}

static void test_damage(const void *data)
{
	g_autoptr(Scene) scene = scene_new();
	const StreamBegin begin = {
		.volume = UUID, .to = {UUID, "a", 1}, .size = SIZE, .block_size = 512};
	StreamSource source = {.to = scene->volume};
	const Engine *engine = &scene->volume->engine;
	autofd fd = memfd_create("stream", MFD_CLOEXEC);
	g_autoptr(GError) error = NULL, other = NULL;
	guint8 wrong[2] = {1, 2};
	MapEntry entry;
	guint epoch;

	(void)data;
	REQUIRE(!map_lookup(engine->map, 5000, 1, &entry, FALSE, &epoch));
	map_lookup_end(engine->map, epoch);
	CHECK_INT(backing_pwrite(engine->backing, wrong, 2,
				 slots_offset(engine->slots, entry.slot) + 100),
		  0);
	CHECK(!stream_send(&source, &begin, fd, NULL, NULL, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_CORRUPT, "the snapshot is damaged at byte 20480000");
	CHECK(!stream_send_rbd(&source, NULL, "a", fd, NULL, NULL, &other));
	CHECK_ERROR(other, STORAGEOS_ERROR_CORRUPT, "the snapshot is damaged at byte 20480000");
}

/* An error of the descriptor ends the whole, whatever is written then. */
static void test_full_disk(const void *data)
{
	g_autoptr(Scene) scene = scene_new();
	const StreamBegin begin = {
		.volume = UUID, .to = {UUID, "a", 1}, .size = SIZE, .block_size = 512};
	StreamSource source = {.to = scene->volume};
	autofd full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	int ends[2];

	(void)data;
	for (guint i = 0; i < 3; i++) {
		g_autoptr(GError) error = NULL;

		CHECK(!(i == 0	 ? stream_send(&source, &begin, full, NULL, NULL, &error)
			: i == 1 ? stream_send_rbd(&source, NULL, "a", full, NULL, NULL, &error)
				 : stream_send_raw(&source, full, NULL, NULL, &error)));
		CHECK_ERROR(error, STORAGEOS_ERROR_NO_SPACE, NULL);
	}
	test_row("a reader that goes after a while");
	REQUIRE(!pipe2(ends, O_CLOEXEC));
	g_autoptr(GError) error = NULL;
	close(ends[0]);
	CHECK(!stream_send(&source, &begin, ends[1], NULL, NULL, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_IO, "Broken pipe");
	close(ends[1]);
}

/* ---- other formats */

static void test_rbd(const void *data)
{
	g_autoptr(Scene) scene = scene_new();
	g_autofree guint8 *content = g_malloc0(SIZE);
	StreamSource source = {.to = scene->volume};
	autofd fd = memfd_create("rbd-diff", MFD_CLOEXEC);
	g_autoptr(StreamRbdReader) reader = stream_rbd_reader_new(fd);
	g_auto(StreamRbdHead) head = {0};
	StreamRange range = {.length = 1};
	guint64 end = 0;

	(void)data;
	progress_data = 0;
	REQUIRE(stream_send_rbd(&source, NULL, "tuesday", fd, progress, NULL, NULL));
	lseek(fd, 0, SEEK_SET);
	CHECK(stream_rbd_reader_begin(reader, &head, NULL));
	CHECK(!head.from);
	CHECK_STR(head.to, "tuesday");
	CHECK_UINT(head.size, SIZE);
	while (range.length && CHECK(stream_rbd_reader_next(reader, &range, NULL))) {
		CHECK(!range.length || range.offset >= end);
		if (range.length)
			memcpy(content + range.offset, range.bytes, range.length);
		end = range.offset + range.length;
	}
	CHECK_MEM(content, scene->content, SIZE);
}

static void test_raw_file(const void *data)
{
	g_autoptr(Scene) scene = scene_new();
	g_autofree char *path = test_path("raw");
	g_autofree guint8 *content = g_malloc(SIZE);
	StreamSource source = {.to = scene->volume};
	autofd fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct stat st;

	(void)data;
	REQUIRE(stream_send_raw(&source, fd, NULL, NULL, NULL));
	CHECK(!fstat(fd, &st));
	CHECK_UINT((guint64)st.st_size, SIZE);
	CHECK((guint64)st.st_blocks * 512 < 70 * MIB);
	CHECK_INT(pread(fd, content, SIZE, 0), SIZE);
	CHECK_MEM(content, scene->content, SIZE);
	unlink(path);
}

static gpointer pipe_collect(gpointer data)
{
	GByteArray *bytes = g_byte_array_new();
	guint8 piece[4096];
	gssize n;

	while ((n = read(GPOINTER_TO_INT(data), piece, sizeof piece)) > 0)
		g_byte_array_append(bytes, piece, (guint)n);
	return bytes;
}

static void test_raw_pipe(const void *data)
{
	g_autoptr(Scene) scene = scene_new();
	StreamSource source = {.to = scene->volume};
	int ends[2];

	(void)data;
	REQUIRE(!pipe2(ends, O_CLOEXEC));
	GThread *thread = g_thread_new("pipe", pipe_collect, GINT_TO_POINTER(ends[0]));
	CHECK(stream_send_raw(&source, ends[1], NULL, NULL, NULL));
	close(ends[1]);
	g_autoptr(GByteArray) bytes = g_thread_join(thread);
	close(ends[0]);
	CHECK_UINT(bytes->len, SIZE);
	CHECK_MEM(bytes->data, scene->content, SIZE);
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	test_add("a stream holds the content", test_stream, NULL);
	test_add("a stream begins where it is told to", test_resume, NULL);
	test_add("a stream of what changed holds that alone", test_incremental, NULL);
	test_add("damage ends a stream, and says where", test_damage, NULL);
	test_add("an error of the descriptor ends it", test_full_disk, NULL);
	test_add("a file for Ceph holds the content, in order", test_rbd, NULL);
	test_add("an image in a file holds the content, and has holes", test_raw_file, NULL);
	test_add("an image in a pipe holds the content", test_raw_pipe, NULL);
	return test_run(argc, argv);
}
