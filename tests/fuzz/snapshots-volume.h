/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Volumes with snapshots, to be damaged by fuzz targets.  Each is made once, when first asked for;
 * a fuzz target runs one input at a time.
 *
 *     0  a snapshot that was deleted is half taken apart
 *     1  what was discarded is half freed in a snapshot, and the volume went back to an older one
 *     2  a stream has arrived in part
 *     3  a linked clone, which holds zero pointers and was smaller for a while; its base is sound
 *
 * Each has snapshots, one of them held, a bookmark, and a journal to be replayed (but for the
 * third).
 */
#pragma once

#include "common/engine/volume-snapshots.h"

#define FUZZ_PLACES 8u /* blocks that are ever written */

/* The first byte of each place, which is full of it. */
typedef struct {
	char name[VOLUME_SNAPSHOT_NAME_MAX + 1];
	guint8 values[FUZZ_PLACES];
} FuzzContent;

typedef struct FuzzVolume {
	FuzzContent head;
	FuzzContent contents[4]; /* of snapshots */
	guint n_contents;
	struct FuzzImage *image;
} FuzzVolume;

const FuzzVolume *fuzz_volume(guint number);

/* As volume_open() and volume_open_snapshot(), of a linked clone as well. */
Volume *fuzz_volume_open(Backing *memory, VolumeOpenFlags flags);
Volume *fuzz_snapshot_open(Backing *memory, const char *name);

/* A copy of the volume's backing, with the input's changes; `sealed`: all checksums of superblocks,
 * table, nodes and blocks are made right afterwards, and copies equal. */
Backing *fuzz_volume_change(const FuzzVolume *volume, const guint8 *changes, gsize size,
			    gboolean sealed);

/* Reads all places.  If `trusted`, each must hold its value, or be an error. */
void fuzz_content_read(Volume *volume, const FuzzContent *content, gboolean trusted);
