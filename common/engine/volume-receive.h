/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receiving a snapshot from another volume: the engine's part.
 *
 * While a volume receives, its table has a record in state receiving: which snapshot the content is
 * going to be, and up to which block it is.  The record is made and moved on by checkpoints that
 * also make the content durable, and becomes the snapshot in one: a crash at any time leaves a
 * volume that can go on receiving from the block in the record.  Meanwhile nobody else opens the
 * volume for writing (VOLUME_OPEN_RECEIVE).
 *
 * Threading: one thread at a time.  Errors as in volume-snapshots.h.
 */
#pragma once

#include "common/engine/volume-snapshots.h"

typedef struct {
	char name[VOLUME_SNAPSHOT_NAME_MAX + 1], uuid[37]; /* of the snapshot to be */
	guint64 parent;	  /* generation of the one that it descends from; 0: none */
	guint64 size;	  /* of the snapshot to be, bytes */
	guint64 received; /* blocks before this one have arrived, durably */
} VolumeReceiving;

/* FALSE: the volume is not receiving. */
gboolean volume_receive_get(Volume *volume, VolumeReceiving *ret_receiving);

/* Whether the volume has just the content of that snapshot, its newest.  Only the root of the map
 * is looked at: blocks that were written anew with the same bytes count as changed. */
gboolean volume_is_snapshot(Volume *volume, guint64 generation);

/* Begins to receive a snapshot of that size: durable when it returns TRUE.  The caller then gives
 * the volume that size.  EXISTS: there is a snapshot of that name or UUID.  BUSY: the volume is
 * receiving.  NO_SPACE: on the disk, or in the table, which must have two records free. */
gboolean volume_receive_begin(Volume *volume, const VolumeSnapshotParameters *to, guint64 size,
			      GError **error);

/* Blocks before `received` are as in the snapshot to be, and durable when it returns TRUE. INVALID:
 * it has fewer. */
gboolean volume_receive_mark(Volume *volume, guint64 received, GError **error);

/* All of it has arrived: the content becomes the snapshot, durable when it returns TRUE.  NO_SPACE:
 * the volume has the snapshot as soon as there is space, or is still receiving when it is opened
 * again. */
gboolean volume_receive_end(Volume *volume, GError **error);
