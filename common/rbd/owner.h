/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record of who has an image's lock: an object `storageos_owner.ID` beside the image, JSON with
 * the members host and count.  Whoever took the lock over writes it, and nobody else.  It tells
 * those who might take the lock whether its holder serves anybody; nothing depends on it that must
 * not go wrong.
 *
 * Every call waits for Ceph.
 */
#pragma once

#include "common/rbd/rbd-private.h"

/* Counts up, in the name of this machine.  0 or a negative errno. */
int owner_count_up(RbdBacking *rbd);

/* What the record says, or nothing ("", 0) if there is none, or no valid one.  0 or a negative
 * errno. */
int owner_read(RbdBacking *rbd, char *ret_host, gsize host_size, guint64 *ret_count);
