/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of fuse-fallback/file over a volume in memory, against a flat array.
 */
#include "tests/backing/memory.h"
#include "common/base/error.h"
#include "fuse-fallback/file.h"
#include "tests/harness.h"

#define SIZE (2 * MIB)
#define STEPS 3000
#define LONGEST 20000

typedef struct {
	Volume *volume;
	guint8 *model; /* what each byte is */
	guint8 *data;
	guint8 *room;
} Fixture;

static void fixture_init(Fixture *fixture)
{
	g_autoptr(GError) error = NULL;
	Backing *backing = backing_memory_new(0);

	*fixture = (Fixture){
		.model = g_malloc0(SIZE),
		.data = g_malloc(SIZE),
		.room = g_malloc(FILE_READ_ROOM(SIZE)),
	};
	CHECK(volume_format(backing, &(VolumeParameters){.size = SIZE}, &error));
	fixture->volume = volume_open(backing, "file", 0, &error);
	CHECK_NO_ERROR(error);
}

static void fixture_clear(Fixture *fixture)
{
	CHECK(volume_close(fixture->volume, NULL));
	g_free(fixture->model);
	g_free(fixture->data);
	g_free(fixture->room);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Fixture, fixture_clear)

static void check_range(Fixture *fixture, guint64 offset, gsize length)
{
	const guint8 *data = NULL;

	CHECK_INT(file_read(fixture->volume, volume_read, fixture->room, length, offset, &data), 0);
	if (data && length)
		CHECK_MEM(data, fixture->model + offset, length);
}

/* Mostly short ranges that begin and end anywhere, at times a long or an aligned one. */
static void choose_range(TestRandom *random, guint64 *ret_offset, gsize *ret_length)
{
	guint64 longest = test_random_below(random, 4) ? 1500 : LONGEST;
	gsize length = test_random_below(random, longest);
	guint64 offset = test_random_below(random, SIZE - length + 1);

	if (test_random_below(random, 4) == 0) {
		length -= length % SECTOR_SIZE;
		offset -= offset % SECTOR_SIZE;
	}
	*ret_offset = offset;
	*ret_length = length;
}

static void random_step(Fixture *fixture, TestRandom *random)
{
	guint64 offset;
	gsize length;

	choose_range(random, &offset, &length);
	switch (test_random_below(random, 4)) {
	case 0:
		memset(fixture->model + offset, 0, length);
		CHECK_INT(file_zero(fixture->volume, offset, length), 0);
		break;
	case 1:
		check_range(fixture, offset, length);
		break;
	default:
		test_random_fill(random, fixture->data, length);
		memcpy(fixture->model + offset, fixture->data, length);
		CHECK_INT(file_write(fixture->volume, fixture->data, length, offset), 0);
	}
}

static void test_model(const void *data)
{
	g_auto(Fixture) fixture = {0};
	TestRandom random = test_random_new(test_seed());

	(void)data;
	fixture_init(&fixture);
	REQUIRE(fixture.volume != NULL);
	for (guint step = 0; step < STEPS && !test_failed(); step++) {
		test_row("step %u", step);
		random_step(&fixture, &random);
	}
	check_range(&fixture, 0, SIZE);
}

static void test_reader(const void *data)
{
	g_auto(Fixture) fixture = {0};
	const guint8 *found = NULL;

	(void)data;
	fixture_init(&fixture);
	REQUIRE(fixture.volume != NULL);
	memset(fixture.model + 700, 'x', 100);
	CHECK_INT(file_write(fixture.volume, fixture.model + 700, 100, 700), 0);
	CHECK_INT(file_read(fixture.volume, volume_read_nowait, fixture.room, 300, 600, &found), 0);
	CHECK_MEM(found, fixture.model + 600, 300);
}

typedef struct {
	Volume *volume;
	guint at;
} Neighbour;

#define NEIGHBOURS 4u
#define SHARE 96u
#define ROUNDS 300u

/* Writes the thread's own bytes of every sector and no others. */
static gpointer write_share(gpointer pointer)
{
	const Neighbour *neighbour = pointer;
	guint8 bytes[SHARE];

	memset(bytes, 'a' + (int)neighbour->at, sizeof bytes);
	for (guint round = 0; round < ROUNDS; round++)
		CHECK_INT(file_write(neighbour->volume, bytes, sizeof bytes,
				     (guint64)(round % 50) * SECTOR_SIZE + neighbour->at * SHARE),
			  0);
	return NULL;
}

static void test_neighbours(const void *data)
{
	g_auto(Fixture) fixture = {0};
	Neighbour neighbours[NEIGHBOURS];
	GThread *threads[NEIGHBOURS];

	(void)data;
	fixture_init(&fixture);
	REQUIRE(fixture.volume != NULL);
	for (guint i = 0; i < NEIGHBOURS; i++) {
		neighbours[i] = (Neighbour){.volume = fixture.volume, .at = i};
		threads[i] = g_thread_new("neighbour", write_share, &neighbours[i]);
		for (guint sector = 0; sector < 50; sector++)
			memset(fixture.model + sector * SECTOR_SIZE + i * SHARE, 'a' + (int)i,
			       SHARE);
	}
	for (guint i = 0; i < NEIGHBOURS; i++)
		g_thread_join(threads[i]);
	check_range(&fixture, 0, 60 * SECTOR_SIZE);
}

/* ---- data and holes */

static const struct {
	guint64 from;
	gboolean mapped;
	int result;
	guint64 found;
} seeks[] = {
	{0, TRUE, 0, 8192},
	{0, FALSE, 0, 0},
	{100, FALSE, 0, 100},
	{8191, TRUE, 0, 8192},
	{8192, TRUE, 0, 8192},
	{8193, TRUE, 0, 8193},
	{8192, FALSE, 0, 8192 + MIB},
	{9000, FALSE, 0, 8192 + MIB},
	{8192 + MIB, FALSE, 0, 8192 + MIB},
	{8192 + MIB, TRUE, 0, SIZE - 4096},
	{SIZE - 4096, FALSE, 0, SIZE},
	{SIZE - 1, TRUE, 0, SIZE - 1},
	{SIZE - 1, FALSE, 0, SIZE},
	{SIZE, TRUE, -ENXIO, 0},
	{SIZE, FALSE, -ENXIO, 0},
	{G_MAXUINT64, FALSE, -ENXIO, 0},
};

static void test_seek(const void *data)
{
	g_auto(Fixture) fixture = {0};
	guint64 found = 0;

	(void)data;
	fixture_init(&fixture);
	CHECK_INT(file_seek(fixture.volume, 0, TRUE, &found), -ENXIO);
	CHECK_INT(file_seek(fixture.volume, 0, FALSE, &found), 0);
	CHECK_UINT(found, 0);
	memset(fixture.data, 'a', SIZE);
	CHECK_INT(file_write(fixture.volume, fixture.data, MIB, 8192), 0);
	CHECK_INT(file_write(fixture.volume, fixture.data, 1, SIZE - 1), 0);
	for (guint i = 0; i < G_N_ELEMENTS(seeks); i++) {
		test_row("row %u", i);
		found = 0;
		CHECK_INT(file_seek(fixture.volume, seeks[i].from, seeks[i].mapped, &found),
			  seeks[i].result);
		CHECK_UINT(found, seeks[i].found);
	}
}

int main(int argc, char **argv)
{
	test_add("random reads, writes and zeros at any byte", test_model, NULL);
	test_add("data and holes are found from any byte", test_seek, NULL);
	test_add("a read that must not sleep", test_reader, NULL);
	test_add("writers of parts of one sector do not undo each other", test_neighbours, NULL);
	return test_run(argc, argv);
}
