/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the superblock and the file of a volume say, read without a lock while somebody else may
 * have the volume open.
 */
#pragma once

#include "common/engine/codec.h"

typedef struct {
	char uuid[UUID_TEXT];
	guint64 size; /* of the volume, in bytes */
	guint32 logical_block_size;
	gboolean write_through;	   /* it has no write cache */
	guint64 scrub_errors;	   /* of the last scrub that ran to its end */
	guint64 scrub_time;	   /* when that was, seconds since 1970; 0: never */
	guint64 allocated;	   /* bytes that the backing takes of the file system below */
	char base[BASE_NAME_SIZE]; /* of a linked clone: its base; or "" */
	Properties properties;	   /* that it keeps */
	char claimed_by[128]; /* who has its disk open, on whatever machine, or has died with it:
			       * "gw1 (process 123)"; or "" */
	guint64 missing_from; /* where the backing ends although the volume needs more; 0: nowhere
			       */
} VolumeSummary;

/* Reads the summary of the volume whose backing backing_open() finds at `path`.  The one
 * writer writes the two superblocks in turn, so one of them can always be read. */
gboolean volume_summary_read(const char *path, VolumeSummary *ret_summary, GError **error);

/* The same of a snapshot of that volume.  NOT_FOUND: it has none of that name.  Its summary has no
 * `scrub_errors`, `scrub_time`, `properties` and no `missing_from`: these are the volume's. */
gboolean volume_summary_read_snapshot(const char *path, const char *snapshot,
				      VolumeSummary *ret_summary, GError **error);

/* The properties that a copy of that volume takes over: all but its reserve. */
gboolean volume_summary_inherited(const char *path, Properties *ret_properties, GError **error);
