/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands on the snapshots of an open volume, as JSON: a server carries them out for clients
 * of its control socket (monitor.h), a program for itself on a volume that nobody serves.  Sizes
 * are bytes; times are Unix times in seconds.
 *
 * `snapshot-begin`: takes a snapshot; returns at its instant, before it is durable.
 *     name; frozen, by_policy (flags); group (number); created   but the name, all are optional
 *     -> generation
 * `snapshot-wait`: waits until that snapshot is durable, SNAPSHOT_WAIT_SECONDS at most.
 *     generation
 *     -> done                              FALSE: ask again
 * `snapshot-list`
 *     -> uuid                              of the volume
 *        data, metadata                    that volume and snapshots use
 *        held                              of `data`, what only snapshots have, at least
 *        snapshots                         an array, the oldest first, of
 *            {name, uuid, generation, parent_uuid, created, size, referenced,
 *             referenced_is_bound, written, state, waiting, frozen, by_policy, group, holds}
 *            state: "ok", "deleting", "bookmark", "receiving"; holds: an array of tags
 * `snapshot-usage`: counts what deleting frees (volume-usage.h), for SNAPSHOT_USAGE_MILLISECONDS;
 * to be asked again until `done`.  Nothing goes on when nobody asks. from, to (generations): of the
 * snapshots with content from `to` back to its ancestor `from`, together; without these: of each
 * snapshot alone begin (flag): the first time that this is asked rate: bytes a second; 0: no limit;
 * default SCRUB_RATE
 *     -> done, fraction, counts            an array of {generation, bytes, waiting, moving,
 * damaged}
 * `snapshot-delete`: durable; the space becomes free in the background.
 *     name; bookmark (flag)
 * `snapshot-rename`: name, to
 * `snapshot-hold`, `snapshot-release`: name, tag; or, for a linked clone (volume-base.h): clone,
 * its UUID; volume_uuid, snapshot_uuid, generation of its base; name, for messages
 * `snapshot-flatten`: a step of volume_flatten(), of `bytes` bytes, 64 MiB at most
 *     -> copied, left, done
 * `snapshot-gate`: closes and opens the gate before changes (volume-snapshots.h).
 *     action: "close"         -> ticket
 *     action: "open", ticket  -> closed    whether the gate was closed until now
 *
 * Errors are those of volume-snapshots.h and readers.h; INVALID for a bad request.
 */
#pragma once

#include "common/base/json.h"
#include "common/engine/volume.h"

#define SNAPSHOT_WAIT_SECONDS 2
#define SNAPSHOT_USAGE_MILLISECONDS 250

/* What `stats` says of the snapshots: `count`; `kept`, of these, by holds; `newest`, when the
 * newest was taken, 0: there is none; `deleting`, bytes of those that are being deleted, at most;
 * `held`, bytes that only snapshots have, at least.  The caller must release it. */
Json *snapshot_summary(Volume *volume, const VolumeInfo *info);

gboolean snapshot_command_is(const char *command);

/* Carries it out, which may take as long as a checkpoint.  Returns the answer, which the caller
 * must release, or NULL. */
Json *snapshot_command(Volume *volume, const char *run_directory, const char *command,
		       Json *request, GError **error);
