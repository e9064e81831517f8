/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be told of a volume while somebody else has it open: its superblock, read without a
 * lock, and its file.
 */
#pragma once

#include "common/service/config.h"
#include "common/service/pool.h"
#include "common/service/volume-summary.h"

typedef struct {
	char *path; /* of its file or device */
	char uuid[UUID_TEXT];
	BackingPlace place; /* of what the path leads to now */
	guint64 size;
	guint32 logical_block_size;
	guint64 allocated;    /* bytes that it takes of the file system below */
	guint64 missing_from; /* where its file ends too early; 0: it does not */
	guint64 scrub_errors; /* of the last scrub that went to its end */
	guint64 available;    /* bytes that are left there; G_MAXUINT64: not known */
	char *holder;	      /* "process 12 (tcmu-runner)" that has it open, or NULL */
} Facts;

/* Takes some seconds at most, also where the disk does not answer (IO).
 *
 * On FALSE *ret_facts has what could be told nevertheless; it is to be cleared either way.
 * NOT_FOUND: there is no such volume, or its pool is not there. */
gboolean facts_read(const Config *config, const VolumeName *name, Facts *ret_facts, GError **error);
/* As pool_list(), within some seconds. */
GPtrArray *facts_list(const ConfigPool *pool, GError **error);

/* "process 12 (tcmu-runner)" that has the volume at this path open, or NULL.  Free the result. */
char *facts_holder(const char *path);
void facts_clear(Facts *facts);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Facts, facts_clear)
