/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A snapshot that a command takes of a volume in order to read it, and deletes in the end: so the
 * volume may be in use.  A command that was killed leaves its snapshot; the next one that takes one
 * of the same volume deletes it, ten minutes after it was taken or later.
 *
 * Threading: single-threaded; interrupt_hold() must have been called.
 */
#pragma once

#include "common/service/config.h"
#include "common/service/policy.h"
#include "common/service/volume-name.h"

typedef struct {
	const Config *config;
	VolumeName *name; /* VOLUME@temporary-TIME-NUMBER; NULL: there is none */
} TemporarySnapshot;

/* Takes it as snapshots_take() does, of a volume that is served or not; with `served`, only of one
 * that is (NOT_FOUND). */
gboolean temporary_snapshot_take(const Config *config, const VolumeName *volume, gboolean served,
				 PolicyFreeze freeze, TemporarySnapshot *ret_snapshot,
				 GError **error);

/* Deletes it, if there is one; nobody may have it open any more.  If that fails, says so, and how
 * it is done by hand. */
void temporary_snapshot_drop(TemporarySnapshot *snapshot);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(TemporarySnapshot, temporary_snapshot_drop)
