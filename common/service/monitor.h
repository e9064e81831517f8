/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands that a served volume answers on its control socket (control.h).
 *
 * `stats`: what the front end has counted (metrics.h) and what the engine knows (volume.h).  Sizes
 * are bytes, times nanoseconds unless the name says otherwise:
 *
 *     volume, uuid, device, inode         the last two of the open file (BackingPlace)
 *     frontend                            "tcmu" or "fuse"
 *     pid, program_version
 *     state                               "ok", "failed" or "read-only"
 *     failure, failed_since               only if failed; seconds since 1970
 *     served_seconds
 *     in_flight                           requests begun and not answered
 *     operations                          {read, write, discard, compare_and_write, flush}, each
 *                                         as of metrics_to_json()
 *     space                               {size, allocated, data, metadata, reclaimable, run,
 *                                         tidied, tidying, reserve, reserve_ready}: see VolumeInfo
 *     cache                               {nodes, hits, misses} of lookups in the map
 *     journal                             {size, used}
 *     scrub                               {time, blocks, errors, repaired} of the last complete
 *                                         scrub; time 0: never
 *     failover                            {state, seconds, takeovers, fencings, owner,
 *                                         owner_client}: handler/failover.h; only of a volume that
 *                                         another gateway may take over
 *     limits                              {read, write}: limiter_to_json()
 *     snapshots                           {count, kept, newest, deleting, held}: snapshot_summary()
 *     checkpoints, generation, checksum_errors, copies_repaired
 *
 * The counters start when this process opens the volume.
 *
 * `scrub` with `action`:
 *     "start"     with `rate`, bytes a second (0: no limit; default: the volume's
 *                 `scrub_rate`, or SCRUB_RATE).  The answer's
 *                 `started` is FALSE if a scrub was running already, which goes on.
 *     "stop", "status"
 * The answer is scrub_to_json() (scrub-json.h), empty if there was no scrub yet.  A scrub ends with
 * the monitor.
 *
 * `resize` with `size`, to grow the volume (volume_resize).  The answer is `before`, `size`,
 * `frontend` and `done`.  If `done` is FALSE, growing takes longer and goes on; the caller asks
 * again. A LUN keeps its size until its backstore's attribute is set.
 *
 * `set`: see property-command.h.
 *
 * `snapshot-begin`, `snapshot-list` and so on: see snapshot-commands.h.
 */
#pragma once

#include "common/base/json.h"
#include "common/service/limiter.h"
#include "common/service/metrics.h"
#include "common/service/pool.h"

typedef struct Monitor Monitor;

/* What the front end has and knows beside the volume. */
typedef struct {
	/* Gets the limits that the volume keeps (volume-limits.h), now and when they are set; or
	 * NULL. */
	Limiter *limiter;
	/* Adds to the answer of `stats`; or NULL. */
	void (*add)(gpointer data, Json *stats);
	gpointer data;
} MonitorMore;

/* `more` may be NULL.  `volume`, `metrics` and the limiter must outlive the monitor.  NULL, after
 * logging a warning, if the control socket cannot be created; the volume is served all the same. */
Monitor *monitor_new(const Config *config, const VolumeName *name, const char *frontend,
		     Volume *volume, const Metrics *metrics, const MonitorMore *more);

/* The volume may have other properties than before: the limits that it keeps hold from now on. NULL
 * is allowed. */
void monitor_follow_properties(Monitor *monitor);

/* Stops a running scrub and ends the socket.  NULL is allowed. */
void monitor_free(Monitor *monitor);
