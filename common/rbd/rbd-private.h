/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What rbd.c (the image's data), rbd-lock.c (who may write to it) and owner.c (the record of who
 * does) share.
 */
#pragma once

#include "common/rbd/cluster.h"
#include "common/rbd/rbd.h"

typedef int (*WriteZeroes)(rbd_image_t image, uint64_t offset, size_t length, rbd_completion_t,
			   int zero_flags, int op_flags);

typedef struct {
	Backing base;
	Cluster cluster;
	rbd_image_t image;
	gboolean read_only;
	guint64 size, allocated;  /* atomic: bytes */
	WriteZeroes write_zeroes; /* NULL: librbd is too old */

	gboolean locked;     /* atomic: it may write; for ever, once it does */
	gboolean fenced;     /* atomic */
	gboolean taken_over; /* atomic: the lock was, so there is a record of who has it */
	guint64 changes;     /* atomic: how many were carried out */
	guint64 counted;     /* the looker's: `changes` when it last counted up */

	GMutex taking;	 /* held while the lock is taken */
	GThread *looker; /* NULL: not locked; under `taking` */
	GMutex lock;
	GCond ending;
	gboolean ends; /* under `lock` */
} RbdBacking;

static inline guint64 rbd_backing_bytes(RbdBacking *rbd)
{
	return __atomic_load_n(&rbd->size, __ATOMIC_ACQUIRE);
}

static inline gboolean rbd_backing_is_locked(RbdBacking *rbd)
{
	return __atomic_load_n(&rbd->locked, __ATOMIC_ACQUIRE);
}

/* ---- rbd.c, for the looker; both wait for Ceph */

int rbd_backing_look_at_size(RbdBacking *rbd);
void rbd_backing_look_at_allocated(RbdBacking *rbd);

/* ---- rbd-lock.c: the operations, see BackingOps */

gboolean rbd_backing_lock(Backing *backing, gboolean exclusive, GError **error);
gboolean rbd_backing_owner(Backing *backing, BackingOwner *ret_owner, GError **error);
gboolean rbd_backing_take_over(Backing *backing, const char *client, GError **error);
gboolean rbd_backing_is_fenced(Backing *backing);

/* Ceph has said that this client is not to write any more. */
void rbd_backing_note_fenced(RbdBacking *rbd);
void rbd_backing_end_looker(RbdBacking *rbd);
