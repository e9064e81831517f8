/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands on a volume's snapshots (snapshot-commands.h): carried out by the volume's server, or
 * here, if nobody serves the volume.
 *
 * Threading: single-threaded.
 */
#pragma once

#include "cli/places.h"
#include "common/base/json.h"
#include "common/service/config.h"

typedef struct {
	const Config *config; /* borrowed */
	VolumeName *name;     /* of the volume */
	char *text, *socket;
	Places *places; /* locked while the volume is open here */
	Volume *volume; /* open here; NULL: it is served */
	Json *list;	/* the answer of `snapshot-list`, of when it was last asked */
} SnapshotVolume;

typedef enum {
	SNAPSHOT_VOLUME_READ, /* only `snapshot-list` and `snapshot-usage` will be asked */
	SNAPSHOT_VOLUME_CHANGE,
	SNAPSHOT_VOLUME_SERVED, /* NOT_FOUND if nobody serves it */
} SnapshotVolumeUse;

/* Finds the server, or opens the volume, and lists its snapshots. */
SnapshotVolume *snapshot_volume_open(const Config *config, const VolumeName *name,
				     SnapshotVolumeUse use, GError **error);

/* Closes the volume, if it is open here, and frees all.  FALSE: what was changed may be lost. */
gboolean snapshot_volume_close(SnapshotVolume *volume, GError **error);

/* Asks `command` with the members of `request` (may be NULL), which is released.  The caller owns
 * the answer. */
Json *snapshot_volume_ask(SnapshotVolume *volume, const char *command, Json *request,
			  GError **error);

/* Lists the snapshots again. */
gboolean snapshot_volume_relist(SnapshotVolume *volume, GError **error);

/* How many are in the list, and each, the oldest first; borrowed. */
guint snapshot_volume_count(const SnapshotVolume *volume);
Json *snapshot_volume_get(const SnapshotVolume *volume, guint index);

/* The snapshot or bookmark of this name, borrowed; NULL with NOT_FOUND. */
Json *snapshot_volume_find(const SnapshotVolume *volume, const char *name, GError **error);

/* The first of a list (the answer of `snapshot-list`) with this value of a member, or NULL; those
 * that are being deleted are found by their UUID alone.  Borrowed; `value` may be NULL. */
Json *snapshot_find(Json *list, const char *member, const char *value);

/* Whether it is being deleted: then it has no name any more. */
gboolean snapshot_is_deleting(Json *snapshot);
