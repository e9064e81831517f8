/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who asks for something while a deleted snapshot is taken apart does not wait for the end of that,
 * which may be hours away.
 */
#include "common/base/units.h"
#include "common/engine/volume-private.h"
#include "common/engine/volume-snapshots.h"
#include "tests/backing/faulty.h"
#include "tests/engine/support.h"

#define LEAVES 600u
#define SIZE (LEAVES * (guint64)MIB)
#define READ_US                                                                                    \
	2000 /* a read of the backing: taking a snapshot of so many leaves apart is slow           \
	      */

static void snapshot_take(Volume *volume, const char *name)
{
	const VolumeSnapshotParameters parameters = {.name = name};
	guint64 generation;

	CHECK(volume_snapshot_begin(volume, &parameters, &generation, NULL));
	CHECK(volume_snapshot_wait(volume, generation, 60, NULL));
}

static void write_leaves(Volume *volume, guint8 value)
{
	for (guint i = 0; i < LEAVES; i++)
		CHECK_INT(volume_put_value(volume, value, BLOCK_SIZE, i * (guint64)MIB), 0);
}

static gboolean rename_it(Volume *volume, GError **error)
{
	return volume_snapshot_rename(volume, "two", "2", error);
}

static gboolean hold_it(Volume *volume, GError **error)
{
	return volume_snapshot_hold(volume, "two", "me", error);
}

static gboolean delete_it(Volume *volume, GError **error)
{
	return volume_snapshot_delete(volume, "two", 0, error);
}

static gboolean take_one(Volume *volume, GError **error)
{
	const VolumeSnapshotParameters parameters = {.name = "three"};
	guint64 generation;

	return volume_snapshot_begin(volume, &parameters, &generation, error) &&
	       volume_snapshot_wait(volume, generation, 60, error);
}

static gboolean make_checkpoint(Volume *volume, GError **error)
{
	(void)error;
	return volume_checkpoint(volume) == 0;
}

static const struct {
	const char *name;
	gboolean (*ask)(Volume *volume, GError **error);
} rows[] = {
	{"a rename is answered", rename_it},	   {"a hold is answered", hold_it},
	{"a deletion is answered", delete_it},	   {"a snapshot is taken", take_one},
	{"a checkpoint is made", make_checkpoint},
};

/* Snapshot "one" is deleted, and nothing that it had is freed yet.  NULL if a check failed. */
static Volume *deletion_begin(Backing *backing)
{
	const VolumeParameters parameters = {.size = SIZE, .journal_size = MIB};
	Volume *volume = NULL;

	if (CHECK(volume_format(backing, &parameters, NULL)))
		volume = backing_open_volume(backing);
	if (!volume)
		return NULL;
	write_leaves(volume, 1);
	snapshot_take(volume, "one");
	write_leaves(volume, 2);
	snapshot_take(volume, "two");
	checkpointer_hold(volume->checkpointer, TRUE); /* all of it is left to the settling */
	backing_faulty_delay(backing, FAULTY_READ, READ_US);
	CHECK(volume_snapshot_delete(volume, "one", 0, NULL));
	return volume;
}

static void test_answered(const void *data)
{
	gboolean (*ask)(Volume *, GError **) = rows[GPOINTER_TO_UINT(data)].ask;
	g_autoptr(Backing) backing = backing_faulty_new(0);
	g_autoptr(GError) error = NULL;
	Volume *volume = deletion_begin(backing);
	guint64 ticket;

	REQUIRE(volume);
	ticket = volume_settle(volume);
	g_usleep(20000); /* otherwise it would be answered before the first step */
	CHECK(ask(volume, &error));
	CHECK_NO_ERROR(error);
	CHECK(!volume_settled(volume, ticket, 0));
	backing_faulty_delay(backing, FAULTY_READ, 0);
	CHECK(volume_settled(volume, ticket, 60));
	close_volume(volume);
	backing_check(backing);
}

static guint count_deleting(Volume *volume)
{
	g_autoptr(GArray) infos = volume_snapshots(volume);
	guint n = 0;

	for (guint i = 0; i < infos->len; i++)
		n += g_array_index(infos, VolumeSnapshotInfo, i).state == VOLUME_SNAPSHOT_DELETING;
	return n;
}

/* What the volume itself gave up is free before it becomes smaller; what a snapshot had is no part
 * of that. */
static void test_shrink(const void *data)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	g_autoptr(GError) error = NULL;
	Volume *volume = deletion_begin(backing);

	(void)data;
	REQUIRE(volume);
	volume_resize(volume, SIZE / 3, VOLUME_RESIZE_SHRINK | VOLUME_RESIZE_DISCARD, 60, &error);
	CHECK_NO_ERROR(error);
	CHECK_UINT(volume_size(volume), SIZE / 3);
	CHECK_UINT(count_deleting(volume), 1);
	backing_faulty_delay(backing, FAULTY_READ, 0);
	CHECK(volume_settled(volume, volume_settle(volume), 60));
	CHECK_UINT(count_deleting(volume), 0);
	close_volume(volume);
	backing_check(backing);
}

int main(int argc, char **argv)
{
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
		test_add(rows[i].name, test_answered, GUINT_TO_POINTER(i));
	test_add("a volume becomes smaller", test_shrink, NULL);
	return test_run(argc, argv);
}
