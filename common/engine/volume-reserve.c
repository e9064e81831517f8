/* SPDX-License-Identifier: Apache-2.0 */
#include "common/engine/volume-reserve.h"

#include <string.h>

#include "common/base/bounds.h"
#include "common/engine/volume-private.h"

#define WAIT_SECONDS 25
#define AGAIN_SECONDS 30 /* in which another call goes on with what the time was too short for */

/* Then whoever waits for the checkpoint thread has a turn. */
#define STEPS 8 /* of 128 MiB at most */
#define STEPS_USEC (G_USEC_PER_SEC / 10)

#define SLACK_LEAST (32 * MIB)
#define SLACK_MOST GIB
#define SLACK_PART 16

guint64 volume_reserve_bytes(const Properties *properties, guint64 size)
{
	char value[PROPERTY_VALUE_MAX + 1];
	guint64 bytes;

	if (!properties_get(properties, VOLUME_RESERVE, value))
		return 0;
	if (!strcmp(value, VOLUME_RESERVE_FULL))
		return size;
	return size_parse(value, &bytes) ? min_u64(bytes, VOLUME_SIZE_MAX) : 0;
}

/* Slots that the nodes of the map take at most, those of inner nodes twice. */
static guint64 node_slots(NodeLayout layout, guint64 size)
{
	guint64 nodes = blocks_covering(size), slots = 0;
	gboolean inner = FALSE;

	do {
		nodes = node_parent(layout, nodes + node_pointers(layout) - 1);
		slots += inner ? 2 * nodes : nodes;
		inner = TRUE;
	} while (nodes > 1);
	return slots;
}

/* Slots for so many bytes of data: nodes twice, as a checkpoint writes each one elsewhere; and
 * slack for blocks that wait for the next checkpoint, and for what the map keeps for itself. */
static guint64 reserve_slots(guint64 reserve, guint64 size)
{
	guint64 slack = CLAMP(reserve / SLACK_PART, SLACK_LEAST, SLACK_MOST);

	if (!reserve)
		return 0;
	return blocks_covering(reserve) + blocks_covering(slack) +
	       2 * node_slots(NODE_LAYOUT_PLAIN, size);
}

void volume_reserve_open(Volume *volume)
{
	guint64 size = volume_size(volume);

	volume->reserve = volume_reserve_bytes(&volume->properties, size);
	volume->reserve_slots = reserve_slots(volume->reserve, size);
	slots_keep(volume->engine.slots, volume->reserve_slots);
	slots_trim_tail(volume->engine.slots);
}

/* ---- in the checkpoint thread */

static void keep_slots(Engine *engine, gpointer slots)
{
	slots_keep(engine->slots, *(const guint64 *)slots);
}

typedef struct {
	guint64 slots;
	gint64 until;
} Keeping;

static void keep_slots_until(Engine *engine, gpointer data)
{
	const Keeping *keeping = data;

	slots_keep_until(engine->slots, keeping->slots, keeping->until);
}

static void back_slots(Engine *engine, gpointer data)
{
	gint64 until = g_get_monotonic_time() + STEPS_USEC;
	int *result = data;
	guint i = 0;

	do
		*result = engine_has_failed(engine) ? -ESHUTDOWN : slots_back_some(engine->slots);
	while (*result == 1 && ++i < STEPS && g_get_monotonic_time() < until);
}

static void give_back(Engine *engine, gpointer bytes)
{
	*(guint64 *)bytes = slots_trim(engine->slots, 0, STEPS * FORMAT_GROUP_BYTES);
}

/* ---- changing */

static void keep(Volume *volume, guint64 slots)
{
	checkpointer_call(volume->checkpointer, keep_slots, &slots);
}

static void keep_until(Volume *volume, guint64 slots, gint64 until)
{
	Keeping keeping = {slots, until};

	checkpointer_call(volume->checkpointer, keep_slots_until, &keeping);
}

/* The rest goes back now: nobody may have the volume open afterwards. */
static void keep_again(Volume *volume, guint64 slots)
{
	guint64 trimmed;

	keep(volume, slots);
	do
		checkpointer_call(volume->checkpointer, give_back, &trimmed);
	while (trimmed);
}

static gboolean fail_without_space(Volume *volume, guint64 slots, GError **error)
{
	Backing *backing = volume->engine.backing;
	guint64 bytes = slots * FORMAT_SLOT_SIZE, has = backing_allocated(backing);
	g_autofree char *available =
		size_format(backing->ops->available ? backing->ops->available(backing) : 0);
	g_autofree char *needed = size_format(bytes > has ? bytes - has : 0);

	return error_set(error, STORAGEOS_ERROR_NO_SPACE,
			 "%s: the file system has %s free, the reserve needs %s more",
			 volume->engine.name, available, needed);
}

static gboolean fail(Volume *volume, int r, guint64 slots, guint seconds, GError **error)
{
	if (r == -ENOSPC)
		return fail_without_space(volume, slots, error);
	if (r == -EOPNOTSUPP)
		return error_set(error, STORAGEOS_ERROR_UNSUPPORTED,
				 "%s: no reserve can be kept here (only in a file, on a file "
				 "system that writes where it has allocated: ext4, xfs)",
				 volume->engine.name);
	if (r == -ETIMEDOUT)
		return error_set(error, STORAGEOS_ERROR_BUSY,
				 "%s: the reserve is not allocated after %u s; another try within "
				 "%d s goes on from there",
				 volume->engine.name, seconds, AGAIN_SECONDS);
	return error_set_errno(error, r, "%s: allocate the reserve", volume->engine.name);
}

/* Whether it is plain that there is not enough, before anything is allocated. */
static gboolean is_too_much(Volume *volume, guint64 slots)
{
	Backing *backing = volume->engine.backing;

	return backing->ops->available &&
	       slots * FORMAT_SLOT_SIZE / 2 >
		       backing_allocated(backing) / 2 + backing->ops->available(backing) / 2;
}

/* -ECANCELED: with *error, which the watch has set. */
static int fill(Volume *volume, guint64 slots, const VolumeReserveWatch *watch, GError **error)
{
	gint64 end = watch->seconds ? g_get_monotonic_time() + watch->seconds * G_TIME_SPAN_SECOND
				    : G_MAXINT64;
	int r = 1;

	if (is_too_much(volume, slots))
		return -ENOSPC;
	keep_until(volume, slots, G_MAXINT64);
	while (r == 1)
		if (watch->progress &&
		    !watch->progress(backing_allocated(volume->engine.backing),
				     slots * FORMAT_SLOT_SIZE, watch->data, error))
			r = -ECANCELED;
		else if (g_get_monotonic_time() > end)
			r = -ETIMEDOUT;
		else
			checkpointer_call(volume->checkpointer, back_slots, &r);
	return r;
}

static gboolean end_without(Volume *volume, int r, guint64 slots, guint seconds, GError **error)
{
	volume->reserving = r == -ETIMEDOUT;
	if (r == -ECANCELED) { /* soon: the space goes back later */
		keep(volume, volume->reserve_slots);
		return FALSE;
	}
	if (r == -ETIMEDOUT)
		keep_until(volume, slots,
			   g_get_monotonic_time() + AGAIN_SECONDS * G_TIME_SPAN_SECOND);
	else
		keep_again(volume, volume->reserve_slots);
	return fail(volume, r, slots, seconds, error);
}

gboolean volume_reserve_change(Volume *volume, const Properties *next, guint64 size,
			       const VolumeReserveWatch *watch, GError **error)
{
	static const VolumeReserveWatch nobody = {.seconds = WAIT_SECONDS};
	guint64 reserve = volume_reserve_bytes(next, size);
	guint64 slots = reserve_slots(reserve, size);
	int r = 0;

	if (!watch)
		watch = &nobody;
	if (slots > volume->reserve_slots)
		r = fill(volume, slots, watch, error);
	if (r)
		return end_without(volume, r, slots, watch->seconds, error);
	if (slots > volume->reserve_slots)
		keep(volume, slots);
	else if (slots < volume->reserve_slots || volume->reserving)
		keep_again(volume, slots);
	volume->reserving = FALSE;
	__atomic_store_n(&volume->reserve, reserve, __ATOMIC_RELAXED);
	__atomic_store_n(&volume->reserve_slots, slots, __ATOMIC_RELAXED);
	return TRUE;
}
