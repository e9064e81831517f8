/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be read of a volume, or of a snapshot, while another process has it open: its
 * superblock, without a lock, and the properties of its file.
 */
#pragma once

#include "cli/bounded.h"
#include "common/service/config.h"
#include "common/service/pool.h"
#include "common/service/volume-summary.h"

typedef struct {
	char *path; /* of its file or device, or as an image is called; of a snapshot: the
		     * volume's */
	char *lock; /* the file that its server has locked; NULL: it is not there */
	char uuid[UUID_TEXT];
	BackingPlace place;	   /* of the file that the path leads to now */
	char base[BASE_NAME_SIZE]; /* of a linked clone: its base; or "" */
	guint depth;		   /* how many bases are below it */
	guint64 size;
	guint32 logical_block_size;
	gboolean write_through; /* it has no write cache */
	Properties properties;	/* that it keeps; of a snapshot: none */
	guint64 allocated;	/* bytes that the file takes in its file system */
	guint64 missing_from;	/* size of a file that ends too early; 0: the file is complete */
	guint64 scrub_errors;	/* of the last completed scrub */
	guint64 scrub_time;	/* when that was, seconds since 1970; 0: never */
	guint64 available;	/* bytes free in the file system; G_MAXUINT64: not known */
	char *claimed_by; /* who has its disk open, on whatever machine, or has died with it: "gw1
			   * (process 123)"; or NULL */
	char *holder;	  /* process that has it open, "process 12 (tcmu-runner)", or NULL */
} Facts;

/* Takes 10 s at most; IO if the disk does not answer within that time.
 *
 * On FALSE *ret_facts has what could be read.  It must be cleared in either case.  NOT_FOUND: no
 * such volume, or its pool is not there. */
gboolean facts_read(const Config *config, const VolumeName *name, Facts *ret_facts, GError **error);

/* As pool_list() and pool_list_all(), but take 10 s at most. */
GPtrArray *facts_list(const ConfigPool *pool, GError **error);
GPtrArray *facts_list_all(const ConfigPool *pool, GPtrArray *strangers, GError **error);

/* Asks about what is in the pool, as bounded_ask(), 10 s at most; not at all if the pool's disk did
 * not answer before.  NULL with IO.  Free the result. */
char *facts_ask_disk(const ConfigPool *pool, BoundedQuestion function, gconstpointer data,
		     GError **error);

/* Asks about each of the `n` pools at once, with the pool as `data`, 10 s at most for all together;
 * NULL for those that do not answer.  For those who ask all the time: one that did not answer is
 * asked again after half a minute, and given a second.  The answers are to be freed. */
void facts_ask_disks(const ConfigPool *const *pools, guint n, BoundedQuestion function,
		     char **ret_answers);

/* As pool_list_moving(), but takes 10 s at most; empty if the pool does not answer. */
GPtrArray *facts_list_moving(const ConfigPool *pool);

/* Whether Ceph has the pool that the configuration names, and its space (0, 0: unknown).  Takes
 * `seconds` at most. */
gboolean facts_ask_pool(const ConfigPool *pool, guint seconds, guint64 *ret_whole,
			guint64 *ret_available, GError **error);

/* The process that has the volume open whose Facts have this `lock` ("process 12 (tcmu-runner)"),
 * or NULL.  Free the result. */
char *facts_holder(const char *lock);

/* Whether the volume has a write cache: "on" or "off". */
const char *facts_write_cache(const Facts *facts);

void facts_clear(Facts *facts);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Facts, facts_clear)
