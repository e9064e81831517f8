/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Erasing, in four steps, while the range of all blocks is held:
 *
 *   1. All blocks are made a hole, and a root without anything below it goes.
 *   2. Their slots and nodes become free, which takes a few checkpoints.  The only slots in use are
 *      then those kept ready for nodes.
 *   3. The checkpoint thread, which alone could take slots meanwhile, erases one group after the
 *      other.
 *   4. A checkpoint makes that durable.
 */
#include "common/engine/volume-private.h"
#include "common/engine/wanted.h"

#include <errno.h>

typedef struct {
	guint64 group;
	int result; /* of map_erase() */
} Erasing;

static int check_wanted(Volume *volume)
{
	if (!wanted_still())
		return -ECANCELED;
	return volume_check_writable(volume);
}

static int discard_all(Volume *volume)
{
	int r;

	do
		r = volume_zero_held(volume, 0, volume_size(volume));
	while (r == -ETIMEDOUT && !check_wanted(volume));
	return r;
}

static int free_all(Volume *volume)
{
	guint64 ticket = volume_settle(volume);
	int r = check_wanted(volume);

	while (!r && !volume_settled(volume, ticket, 1))
		r = check_wanted(volume);
	return r ? r : checkpointer_run(volume->checkpointer);
}

/* Somebody may have taken one since volume_erase() looked: its blocks, nodes and table are in slots
 * that the volume's map does not have. */
static gboolean has_snapshots(Engine *engine)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(slots_lists_lock(engine->slots));

	return snapshots_count_locked(engine->snapshots) > 0;
}

static void erase_group(Engine *engine, gpointer data)
{
	Erasing *erasing = data;

	if (engine_has_failed(engine))
		erasing->result = -ESHUTDOWN;
	else if (has_snapshots(engine))
		erasing->result = -EBUSY;
	else
		erasing->result =
			engine->frozen ? -ENOSPC : map_erase(&engine->map, 1, erasing->group);
}

static int erase_groups(Volume *volume)
{
	Erasing erasing = {.result = 1};

	for (; erasing.result == 1; erasing.group++) {
		int r = check_wanted(volume);

		if (r)
			return r;
		checkpointer_call(volume->checkpointer, erase_group, &erasing);
	}
	/* -EBUSY: a snapshot was taken meanwhile; or something could not be freed, because a node
	 * cannot be read. */
	return erasing.result == -EBUSY && !volume_has_snapshots(volume) ? -EIO : erasing.result;
}

int thin_erase(Volume *volume)
{
	RangeHold hold;
	int r;

	if (volume_has_snapshots(volume)) /* they would keep their data */
		return -EBUSY;
	ranges_hold(&volume->ranges, &hold, 0, G_MAXUINT64, FALSE);
	r = discard_all(volume);
	if (!r)
		r = map_prune_root(volume->engine.map);
	if (!r)
		r = free_all(volume);
	if (!r)
		r = erase_groups(volume);
	if (!r)
		r = checkpointer_run(volume->checkpointer);
	ranges_release(&volume->ranges, &hold);
	return r;
}
