/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A volume with snapshots that is damaged: the first byte of the input says which volume and what
 * is done with it, the rest is a list of changes to it, as in image.c.
 *
 *     u8 mode       bits 0-1: which volume (snapshots-volume.h); bit 2: all checksums are
 *                   made right after the changes; bits 3-4: what a repair gives up
 *     then, any number of times:
 *     u16 place     number of the 4 KiB block (modulo): 0 the superblock, 1 the snapshot table's
 *                   root, 2 the map's, 3 the table's page, then nodes and blocks of all
 *     u16 offset    in the block
 *     u8 length     of the bytes that follow, 16 at most
 *
 * Whatever was changed: checking, repairing, opening the volume and its snapshots, comparing them,
 * scrubbing, writing, going back and deleting must end.  Unless checksums were made right, each
 * read must return the data that was written, or an error, and a repair that says that nothing is
 * left must leave nothing.
 */
#include <string.h>

#include "common/base/bounds.h"
#include "common/base/units.h"
#include "common/check/repair.h"
#include "common/check/scrub.h"
#include "common/engine/volume-flatten.h"
#include "common/stream/stream-receive.h"
#include "common/stream/stream-source.h"
#include "tests/engine/support.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/snapshots-volume.h"

#define SECONDS 20

static gboolean visit(gpointer data, const StreamRange *range, gboolean zeros, GError **error)
{
	const guint64 *size = data;

	(void)zeros, (void)error;
	fuzz_assert(range->offset + range->length <= *size);
	return TRUE;
}

/* What differs between two snapshots, of which `from` may be NULL. */
static void compare(Volume *to, Volume *from)
{
	StreamSource source = {.to = to, .from = from};
	guint64 size = volume_size(to);

	stream_source_list(&source, visit, &size, NULL);
}

static void snapshots_read(Backing *memory, const FuzzVolume *sound, gboolean trusted)
{
	Volume *last = NULL;

	for (guint i = 0; i < sound->n_contents; i++) {
		const FuzzContent *content = &sound->contents[i];
		Volume *volume = fuzz_snapshot_open(memory, content->name);

		if (!volume)
			continue;
		fuzz_content_read(volume, content, trusted);
		compare(volume, last);
		if (last)
			volume_close(last, NULL);
		last = volume;
	}
	if (last)
		volume_close(last, NULL);
}

/* Nobody misses what a deleted snapshot has lost; check tells it all the same. */
static gboolean deleted_has_lost(const CheckResult *result)
{
	for (guint i = 0; i < result->messages->len; i++)
		if (strstr(g_ptr_array_index(result->messages, i), "deleted snapshot"))
			return TRUE;
	return FALSE;
}

static void mend(Backing *memory, guint mode, gboolean trusted)
{
	static const char *const one[] = {"one", NULL}, *const all[] = {CHECK_ALL_SNAPSHOTS, NULL};
	const char *const *give_up = mode & 8 ? mode & 16 ? all : one : NULL;
	g_autoptr(RepairPlan) plan = repair_plan(memory, 0, give_up, NULL, NULL, NULL);
	g_autoptr(CheckResult) result = NULL;
	gboolean whole;

	if (!plan || !repair_carry_out(plan, NULL))
		return;
	whole = !plan->left->len && !plan->check->lost->len && !plan->check->losses->len &&
		!deleted_has_lost(plan->check);
	result = check_run(memory, NULL, NULL, NULL);
	fuzz_assert(!trusted || !whole || (result && !result->errors));
}

static void snapshots_list(Volume *volume)
{
	g_autoptr(GArray) infos = volume_snapshots(volume);

	for (guint i = 0; i < infos->len; i++)
		g_ptr_array_unref(volume_snapshot_tags(
			volume, g_array_index(infos, VolumeSnapshotInfo, i).generation));
}

static void look(Backing *memory, const FuzzVolume *sound, gboolean trusted)
{
	Volume *volume = fuzz_volume_open(memory, VOLUME_OPEN_READ_ONLY);

	if (!volume)
		return;
	snapshots_list(volume);
	fuzz_content_read(volume, &sound->head, trusted);
	volume_close(volume, NULL);
}

static void snapshots_use(Volume *volume)
{
	const VolumeSnapshotParameters parameters = {.name = "new"};
	g_autofree char *undo = NULL;
	guint64 generation;

	if (volume_snapshot_begin(volume, &parameters, &generation, NULL))
		volume_snapshot_wait(volume, generation, SECONDS, NULL);
	volume_snapshot_rename(volume, "two", "2", NULL);
	volume_snapshot_release(volume, "one", "user", NULL);
	volume_snapshot_hold(volume, "2", "user", NULL);
	snapshots_list(volume);
	volume_rollback(volume, "one", VOLUME_ROLLBACK_SIZE_TOO, &undo, NULL);
	volume_snapshot_delete(volume, "one", 0, NULL);
	volume_snapshot_delete(volume, "mark", 0, NULL);
	volume_settled(volume, volume_settle(volume), SECONDS);
}

/* Of a linked clone; each step looks at 16 MiB of the base at least. */
static void flatten(Volume *volume)
{
	VolumeFlattening flattening = {0};

	volume_snapshot_release(volume, "2", "user", NULL);
	volume_snapshot_delete(volume, "2", 0, NULL);
	volume_snapshot_delete(volume, "new", 0, NULL);
	volume_settled(volume, volume_settle(volume), SECONDS);
	for (guint i = 0; i < 32 && !flattening.done; i++)
		if (!volume_flatten(volume, MIB, &flattening, NULL))
			break;
}

static void receive_on(Volume *volume)
{
	StreamToken token;
	gboolean empty;

	if (stream_receive_token(volume, &token, NULL))
		stream_receive_abort(volume, &empty, NULL);
}

static void use(Backing *memory, const FuzzVolume *sound, gboolean trusted)
{
	Volume *volume = fuzz_volume_open(memory, VOLUME_OPEN_RECEIVE);
	Scrub *scrub;

	if (!volume)
		return;
	fuzz_content_read(volume, &sound->head, trusted);
	receive_on(volume);
	scrub = scrub_start(volume, 0, 0, NULL);
	if (scrub)
		scrub_wait(scrub, SECONDS * 1000);
	scrub_free(scrub);
	volume_put_value(volume, 200, 8 * KIB, 4096);
	volume_discard(volume, 0, min_u64(3 * MIB, volume_size(volume)));
	snapshots_use(volume);
	flatten(volume);
	volume_flush(volume);
	volume_close(volume, NULL);
}

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
	guint mode = size ? data[0] : 0;
	const FuzzVolume *sound = fuzz_volume(mode & 3);
	gboolean trusted = (mode & 4) == 0;
	Backing *memory = fuzz_volume_change(sound, data + 1, size ? size - 1 : 0, !trusted);
	g_autoptr(CheckResult) result = NULL;

	result = check_run(memory, NULL, NULL, NULL);
	look(memory, sound, trusted);
	snapshots_read(memory, sound, trusted);
	use(memory, sound, trusted);
	backing_free(memory);
	memory = fuzz_volume_change(sound, data + 1, size ? size - 1 : 0, !trusted);
	mend(memory, mode, trusted);
	snapshots_read(memory, sound, trusted);
	backing_free(memory);
	return 0;
}
