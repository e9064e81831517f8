/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reserve of a thin volume: space that is the volume's own, however full the file system below
 * becomes.  The property VOLUME_RESERVE says how much: a decimal number of bytes, or "full", which
 * is the volume's size and grows with it.
 *
 * Promise.  While the data of the volume and of its snapshots, together, are at most the reserve,
 * no write ends with -ENOSPC: not to new blocks, not to blocks that are there (each takes new slots
 * until the next checkpoint), whatever others write to the file system.  So data that a snapshot
 * keeps take from the reserve: who wants the whole size although there are snapshots reserves more
 * than the size.  On a full file system a write may wait for a checkpoint.
 *
 * The space is in the volume's own file: reserve_slots() slots, the first ones, whose space is
 * kept (slots-reserve.c).  It is allocated when the reserve is set, and again, in the background,
 * when the volume is opened, where it costs little if it is still there.  A copy of the file by a
 * program that leaves out holes has none until then: VolumeInfo.reserve_ready.
 *
 * Not possible, UNSUPPORTED: on a block device, which is wholly the volume's; on btrfs, which
 * writes elsewhere than it has allocated, unless the file has the attribute `C`; where the file
 * system has no fallocate().
 */
#pragma once

#include "common/engine/properties.h"
#include "common/engine/volume.h"

#define VOLUME_RESERVE "reserve"
#define VOLUME_RESERVE_FULL "full"

/* How long whoever wants a reserve waits for its space. */
typedef struct {
	guint seconds; /* and a little more on a slow disk; 0: as long as it takes */
	/* Called while the space is allocated, after each GiB or less: bytes that the volume's file
	 * takes, and that it is to take at least.  FALSE with an error ends that.  May be NULL. */
	gboolean (*progress)(guint64 done, guint64 all, gpointer data, GError **error);
	gpointer data;
} VolumeReserveWatch;

/* The bytes that the property asks for, of a volume of that size; 0: none, or not understood. */
guint64 volume_reserve_bytes(const Properties *properties, guint64 size);

/* ---- of the volume's own files */

/* At open, before the checkpoint thread is there. */
void volume_reserve_open(Volume *volume);

/* Has space allocated for what `next` asks for at that size, and waits for it as `watch` says
 * (NULL: 25 s); of a smaller reserve, gives the rest of the space back.  The caller holds the
 * volume's setting_lock.
 *
 * NO_SPACE (the message says how much there is and how much is needed), UNSUPPORTED, IO: the
 * reserve is as before.  BUSY, it takes longer: so it is, too, but for 30 s what was allocated
 * stays, and another call for so much goes on with it.  After that it goes back in the background;
 * a call for anything else gives it back at once. */
gboolean volume_reserve_change(Volume *volume, const Properties *next, guint64 size,
			       const VolumeReserveWatch *watch, GError **error);
