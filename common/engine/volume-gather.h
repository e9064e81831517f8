/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading many blocks of a snapshot as fast as the disk delivers them: in the order of their slots,
 * which is that in which they were written, with neighbours and small gaps in one read, by several
 * threads.
 *
 * Threading: any; a call starts VOLUME_GATHER_THREADS threads and takes 12 MiB.
 */
#pragma once

#include "common/engine/volume-private.h"

#define VOLUME_GATHER_THREADS 4
#define VOLUME_GATHER_BLOCKS 256u /* of one visit at most */

typedef struct {
	guint64 block;
	MapEntry entry; /* as map_diff() gave it */
} VolumeGatherBlock;

typedef struct {
	guint64 first, n; /* blocks */
	const guint8 *bytes;
} VolumeGatherRun;

/* Called by the caller's thread.  0: go on; anything else ends the call, which returns it. */
typedef int (*VolumeGatherVisit)(gpointer data, const VolumeGatherRun *runs, guint n);

/* Sorts `blocks` by slot, and visits all of them in that order, verified (I4).  Nobody may change
 * what these slots hold.  0, what `visit` returned, or a negative errno: -EBADMSG with *ret_block,
 * the block that is damaged; -EIO, -ENOMEM, -EAGAIN (no thread could be started). */
int volume_gather(Volume *volume, VolumeGatherBlock *blocks, guint n, VolumeGatherVisit visit,
		  gpointer data, guint64 *ret_block);
