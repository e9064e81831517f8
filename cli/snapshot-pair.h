/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A snapshot, and another one of the same volume that it is compared with: opened for reading,
 * whoever serves the volume.
 *
 * Threading: single-threaded.
 */
#pragma once

#include "common/base/json.h"
#include "common/service/config.h"
#include "common/service/volume-name.h"
#include "common/stream/stream-source.h"

typedef struct {
	char *text;	   /* "POOL/NAME@SNAP" of `to` */
	Json *list;	   /* the answer of `snapshot-list` (snapshot-commands.h) */
	Json *to, *from;   /* in the list; `from` NULL: everything is meant */
	gboolean ancestor; /* `to` descends from `from` */
	Volume *to_volume;
	Volume *from_volume; /* NULL: none, or a bookmark */
} SnapshotPair;

/* Opens them.  `from` is the name of a snapshot or bookmark, with or without that of the volume, or
 * its UUID; NULL: everything.  NOT_FOUND, INVALID (a bookmark that is no ancestor; another volume),
 * and the errors of opening a snapshot. */
gboolean snapshot_pair_open(const Config *config, const VolumeName *to, const char *from,
			    SnapshotPair *ret_pair, GError **error);

/* Opens the volume itself in the place of a snapshot; `list` and `to` are NULL.  Only its data may
 * be asked for, and it stays as it is only while nobody writes to it. */
gboolean snapshot_pair_open_volume(const Config *config, const VolumeName *name,
				   SnapshotPair *ret_pair, GError **error);

void snapshot_pair_clear(SnapshotPair *pair);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(SnapshotPair, snapshot_pair_clear)

/* The difference of the two. */
StreamSource snapshot_pair_source(const SnapshotPair *pair);

/* How a stream of it begins that goes on at block `resume`. */
StreamBegin snapshot_pair_begin(const SnapshotPair *pair, guint64 resume);

/* How much data that is at most, in bytes. */
guint64 snapshot_pair_bytes(const SnapshotPair *pair);
