/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The limit of a file's space (BackingOps.limit): which writes need new space, and whether there is
 * so much.
 *
 * Where the file system does not tell holes from data, a write into the file needs no space, and
 * the limit has no effect.
 */
#pragma once

#include "common/backing/backing.h"

/* `room` may be NULL: no limit.  Takes the space that writing [offset, offset + length) of the file
 * needs from *room, or nothing while there is more than BACKING_ROOM_NEAR in it.  0; -ENOSPC;
 * -EAGAIN with BACKING_NOWAIT if it must be found out. */
int file_room_take(gint64 *room, int fd, guint64 offset, guint64 length, BackingFlags flags);

/* What the file's file system still has, and *room, whichever is less; without room (NULL) the
 * first.  G_MAXUINT64: unknown. */
guint64 file_room_available(const gint64 *room, int fd);
