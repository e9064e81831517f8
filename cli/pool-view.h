/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool as people and monitoring see it: whether it is there, how much space it has, what its
 * volumes take and may grow to.  The one source of these numbers for `list`, `pool`, `stats` and
 * the warnings of `create` and `resize`.
 */
#pragma once

#include "cli/facts.h"

#define POOL_READY "ready"
#define POOL_NOT_THERE "not there"
#define POOL_NO_MARKER "no marker"
#define POOL_ANOTHER "another pool"
#define POOL_DENIED "permission denied"
#define POOL_NO_ANSWER "no answer"
#define POOL_UNUSABLE "unusable"

typedef struct {
	const ConfigPool *pool; /* of the configuration */
	const char *state;	/* one of the above */
	GError *error;		/* why it is not ready */
	char *uuid;		/* of the pool that is there */
	gboolean ready;		/* it is there, and its disk answers */
	gboolean measured;	/* `size` and `free` are known */
	gboolean counted;	/* `used` is known */
	gboolean promises;	/* `promised` is known */
	guint64 size, free;	/* as PoolSpace */
	guint64 used;	  /* bytes that its volumes take; of Ceph: all that is stored in the pool */
	guint64 promised; /* bytes that its volumes have as disks */
	guint64 volumes;
	guint mark;		   /* the highest that is passed (key `warn`); 0: none */
	char *file_system, *mount; /* the type, and where it is mounted; NULL: unknown */
} PoolView;

/* Takes 10 s at most; then the state is POOL_NO_ANSWER.  Of Ceph, `promised` is not known until
 * pool_view_add_image() was called for each image, or pool_view_add_images(). */
PoolView *pool_view_take(const Config *config, const ConfigPool *pool);

void pool_view_add_image(PoolView *view, const Facts *facts);

/* Asks Ceph for each image, 10 s at most if it does not answer.  Does nothing for a directory. */
void pool_view_add_images(PoolView *view, const Config *config);

/* How full it is (pool_space_percent()); only if it is measured. */
guint pool_view_percent(const PoolView *view);

/* Why the pool cannot be used, or what its configuration lacks although it can; or NULL.  Free the
 * result. */
char *pool_view_problem(const PoolView *view);

void pool_view_free(PoolView *view);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PoolView, pool_view_free)
