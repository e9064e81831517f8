/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a sparse volume of up to 64 TiB must hold: a few blocks, in leaves that are near each other
 * and far apart, so that whole subtrees come and go.
 */
#pragma once

#include "common/engine/volume.h"

#define SHADOW_PLACES 52u
#define SHADOW_SIZES 5u

typedef struct {
	guint64 size;		       /* bytes */
	guint32 values[SHADOW_PLACES]; /* 0: zeros */
} ShadowContent;

/* One to five levels of the map, and ends inside and at the end of nodes; bytes. */
extern const guint64 shadow_sizes[SHADOW_SIZES];

/* The block that is a place's, and whether a volume of `size` bytes has it. */
guint64 shadow_block(guint place);
gboolean shadow_has(guint place, guint64 size);

/* The BLOCK_SIZE bytes of a block that holds `value`. */
void shadow_fill(guint64 block, guint32 value, guint64 *words);

/* Checks that the volume, called `what`, has that size and content; and the same of a snapshot. */
gboolean shadow_compare(Volume *volume, const ShadowContent *shadow, const char *what);
gboolean shadow_compare_snapshot(Backing *disk, const char *name, const ShadowContent *shadow);
