/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A volume with snapshots that are sent as streams, and volumes that receive them.
 */
#pragma once

#include "common/base/autofd.h"
#include "common/base/error.h"
#include "common/base/units.h"
#include "common/engine/volume-private.h"
#include "common/engine/volume-receive.h"
#include "common/stream/stream-receive.h"
#include "tests/engine/snapshot-proof.h"
#include "tests/engine/support.h"

#define BLOCKS 3000u
#define SIZE (BLOCKS * (guint64)BLOCK_SIZE)
#define SNAPSHOTS 4u

/* A volume with snapshots, and what each holds. */
typedef struct {
	Place *place;
	Volume *volume;
	TestRandom random;
	guint64 size;
	guint8 content[BLOCKS]; /* of each block: the value of its bytes */
	guint n;
	guint8 snapshots[SNAPSHOTS][BLOCKS];
	VolumeSnapshotInfo infos[SNAPSHOTS];
} Sender;

Sender *sender_new(void);
void sender_free(Sender *sender);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Sender, sender_free)

/* The stream of snapshot `to`, from snapshot `from` on (-1: all of it), from block `first` on. */
int sender_stream(Sender *sender, int from, guint to, guint64 first);

/* A place for a volume that receives, and the open volume. */
Place *receiver_new(void);
Volume *receiver_open(Place *place);

/* One that has all of the first snapshot, and a part of the second. */
Volume *receiver_half(Sender *sender, Place *place);

/* Closes the volume, and checks what it leaves. */
void receiver_end(Volume *volume, Place *place);

gboolean receive(Volume *volume, int fd, StreamReceiveFlags flags, GError **error);

/* Snapshot i of the volume at that place. */
Volume *snapshot_open(Place *place, guint i);

void check_content(Volume *volume, const guint8 *content, guint64 size);

/* The receiver has snapshot i as the sender has it. */
void check_snapshot(const Sender *sender, Place *place, guint i);
