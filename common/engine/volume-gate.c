/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gate before all changes: closed while several volumes are snapshotted at one instant.
 *
 * Changes that passed it before it was closed go on, and may become part of the volume while it is
 * closed.  That does no harm: who sends a change because an earlier one was acknowledged meanwhile
 * meets closed gates on all volumes of the group, or gates that were opened after the last cut.
 */
#include "common/engine/volume-private.h"
#include "common/engine/volume-snapshots.h"

#include <errno.h>

static gboolean gate_is_closed(const Volume *volume)
{
	gint64 until = __atomic_load_n(&volume->gate_until, __ATOMIC_ACQUIRE);

	return until && g_get_monotonic_time() < until;
}

int volume_gate_pass(Volume *volume, gboolean nowait)
{
	if (G_LIKELY(!gate_is_closed(volume)))
		return 0;
	if (nowait)
		return -EAGAIN;
	lock_take(&volume->gate_lock);
	while (gate_is_closed(volume))
		lock_wait_until(&volume->gate_opened, &volume->gate_lock, volume->gate_until);
	lock_drop(&volume->gate_lock);
	return 0;
}

guint64 volume_gate_close(Volume *volume)
{
	gint64 until = 0;

	lock_take(&volume->gate_lock);
	if (!gate_is_closed(volume)) {
		until = g_get_monotonic_time() + VOLUME_GATE_SECONDS * G_TIME_SPAN_SECOND;
		__atomic_store_n(&volume->gate_until, until, __ATOMIC_RELEASE);
	}
	lock_drop(&volume->gate_lock);
	return (guint64)until;
}

gboolean volume_gate_open(Volume *volume, guint64 ticket)
{
	gboolean was_closed;

	lock_take(&volume->gate_lock);
	was_closed = (guint64)volume->gate_until == ticket && gate_is_closed(volume);
	if (was_closed)
		__atomic_store_n(&volume->gate_until, 0, __ATOMIC_RELEASE);
	g_cond_broadcast(&volume->gate_opened);
	lock_drop(&volume->gate_lock);
	return was_closed;
}
