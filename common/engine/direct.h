/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Direct volumes: an offset in the volume is the same offset in the backing, which has no format of
 * ours.  So an existing image of a storage cluster is a volume as it is, and others read and write
 * it as before.
 *
 * A direct volume promises what volume.h says, but:
 *   - Data are as safe as the backing has them: no checksums (-EBADMSG does not occur), and after a
 *     crash each sector of a write that was not acknowledged may be old or new (no I3).
 *   - It has no write cache (volume_is_write_through()).
 *   - Every block is mapped; nothing is known of holes.
 *   - It has no snapshots and no scrub, and grows only: UNSUPPORTED, and the message says what has
 *     them.
 *   - A write that nobody waits for any more (wanted.h) is not begun; one that was begun holds its
 *     range until the backing has answered, however late, so nothing that is sent later is
 *     overtaken by it.
 *
 * Standby (VOLUME_OPEN_STANDBY), where the backing's lock can be taken over (backing.h): the volume
 * reads what is there, which others may be writing, and every change ends with -EBUSY, until
 * volume_take_over() has taken the lock.  From then on it is as one that was opened without the
 * flag.  If the lock is taken from it, it is FAILED.
 */
#pragma once

#include "common/engine/volume.h"

/* Opens the backing's content as a volume.  `name`: as for volume_open().  `uuid`: 16 bytes, which
 * the same content always has.  Takes ownership of the backing, also if it fails.
 *
 * Errors: BUSY (open elsewhere), AWAITED (with VOLUME_OPEN_HASTY: another one has its lock, or had
 * it when it died), INVALID (no volume can have the backing's size), UNSUPPORTED (its
 * lock cannot be taken over, so there is no standby), IO. */
Volume *direct_open(Backing *backing, const char *name, const guint8 *uuid, VolumeOpenFlags flags,
		    GError **error);
