/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Volumes of several allocation groups: a group's bitmap follows the changes of that group.
 */
#include "tests/backing/memory.h"
#include "common/base/units.h"
#include "tests/engine/support.h"

#define SIZE (512 * MIB)
#define WRITTEN (280 * MIB) /* more than two groups hold */
#define PIECE MIB

static guint8 value_at(guint64 offset)
{
	return (guint8)(1 + offset / PIECE % 250);
}

static gboolean fill(Volume *volume)
{
	gboolean good = TRUE;

	for (guint64 at = 0; at < WRITTEN && good; at += PIECE)
		good = CHECK_INT(volume_put_value(volume, value_at(at), PIECE, at), 0);
	return good && CHECK_INT(volume_checkpoint(volume), 0);
}

static void check_all(Volume *volume, guint64 hole, guint64 hole_end)
{
	for (guint64 at = 0; at < WRITTEN && !test_failed(); at += PIECE)
		check_value(volume, at >= hole && at < hole_end ? 0 : value_at(at), PIECE, at);
}

/* The discarded blocks lie in one group, and the nodes that this changes in another: the page of
 * the first group changes only by retired slots. */
static void test_only_retired(const void *data)
{
	static const guint64 holes[] = {150 * MIB};

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(holes) && !test_failed(); i++) {
		g_autoptr(Backing) memory = backing_memory_new(0);
		const VolumeParameters parameters = {.size = SIZE};
		guint64 end = holes[i] + 20 * MIB;
		Volume *volume;

		test_row("hole at %d MiB", (int)(holes[i] / MIB));
		REQUIRE(volume_format(memory, &parameters, NULL));
		volume = backing_open_volume(memory);
		REQUIRE(volume && fill(volume));
		CHECK_INT(volume_discard(volume, holes[i] + BLOCK_SIZE, 20 * MIB - BLOCK_SIZE), 0);
		CHECK_INT(volume_put_value(volume, 0, BLOCK_SIZE, holes[i]), 0);
		CHECK(volume_settled(volume, volume_settle(volume), 20));
		check_all(volume, holes[i], end);
		close_volume(volume);
		backing_check(memory);
		volume = backing_open_volume(memory);
		REQUIRE(volume);
		check_all(volume, holes[i], end);
		CHECK_INT(volume_put_value(volume, 9, 10 * MIB, holes[i]), 0);
		close_volume(volume);
		backing_check(memory);
	}
}

int main(int argc, char **argv)
{
	test_add("a group whose slots are only retired", test_only_retired, NULL);
	return test_run(argc, argv);
}
