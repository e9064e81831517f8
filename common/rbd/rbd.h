/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A backing that is an image of Ceph, as it is (RBD), by librbd.  URIs:
 *
 *     rbd:POOL[/NAMESPACE]/IMAGE[?conf=FILE][&id=ID]
 *
 * FILE is the cluster's configuration (Ceph's own search order unless given), ID the user
 * (`admin`).
 *
 * Durable: a write that returned 0 is committed by all replicas that the pool asks for; nothing is
 * cached here.  A flush finds nothing to do.
 *
 * One writer: the image's exclusive lock is taken for the backing's life, and never given up to
 * others who ask; these get EROFS.  Whoever breaks it must blocklist this client, as librbd and
 * `rbd lock rm` do.  Then, or when this client was blocklisted by hand, the backing is condemned:
 * within 4 s, or at the next change.  Reads fail from then on, too.  Nothing that was under way
 * arrives later.
 *
 * Two machines that take the image over from each other (BackingOps.take_over) open it without the
 * lock; until they have it, nothing is written.  Whoever wants it breaks the holder's lock, which
 * blocklists that client, and it must open the image anew: its address stays on the blocklist.
 *
 * No request has a time limit: if Ceph does not answer, whether a write arrives is not known, so
 * the call waits, and so does closing.  Only connecting has one, of 10 s.
 *
 * Each backing has its own connection, as a blocklist knows only connections: some 15 threads and
 * 2.3 MB.
 */
#pragma once

#include <rbd/librbd.h>

#include "common/backing/backing.h"

Backing *backing_rbd_open(const char *rest, BackingOpenFlags flags, GError **error);
