/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A served volume, as it can be watched from outside: answers the control socket's command `stats`
 * with what the front end has counted (metrics.h) and what the engine knows (volume.h).
 *
 * The answer's data, all sizes in bytes, all times in nanoseconds unless a name says otherwise:
 *
 *     volume, uuid, device, inode (of the file that is open, see BackingPlace), frontend ("tcmu",
 * "fuse"), pid, program_version state ("ok", "failed", "read-only"), failure, failed_since (Unix
 * time; only if failed) served_seconds, in_flight (requests begun and not answered) operations:
 * {read, write, discard, compare_and_write, flush: see metrics_to_json()} space: {size, allocated,
 * data, metadata, reclaimable} cache: {nodes, hits, misses}      of the map's nodes, looked up
 *     journal: {size, used}
 *     scrub: {time, blocks, errors, repaired}   the last one that went to its end; time 0: never
 *     checkpoints, generation, checksum_errors
 *
 * The counters begin when the volume is opened by this process.
 *
 * And the command `scrub`, with `action`: "start" (`rate`: bytes a second, 0: no limit; SCRUB_RATE
 * if there is none), "stop", "status".  The answer is scrub_to_json() (scrub-json.h), empty if
 * there was none yet; of "start" with `started`: FALSE where one was running already, which goes
 * on.  It ends with the monitor.
 *
 * And the command `resize`, with `size`, to grow it (volume_resize).  The answer: `before`, `size`,
 * `frontend`, and `done`, which is FALSE where it takes longer: then it goes on, and is asked for
 * again.  A LUN keeps its size until its backstore's attribute is set.
 */
#pragma once

#include "common/service/metrics.h"
#include "common/service/pool.h"

typedef struct Monitor Monitor;

/* `volume` and `metrics` live longer than the monitor.  A volume is served also where its control
 * socket cannot be made: that is logged, and the result NULL. */
Monitor *monitor_new(const Config *config, const VolumeName *name, const char *frontend,
		     Volume *volume, const Metrics *metrics);

/* Ends what runs, promptly.  NULL is allowed. */
void monitor_free(Monitor *monitor);
