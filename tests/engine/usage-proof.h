/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether what volume_usage() says is what deleting frees: of two copies of the disk one deletes
 * the snapshots, both free all that they can, and `check` counts what is in use.
 */
#pragma once

#include "common/engine/volume-snapshots.h"

/* Asks until the count is done, and returns the sum of all sets. */
guint64 usage_ask(Volume *volume, const guint64 *generations, guint n, gboolean *ret_moving);

/* `backing`: as of backing_faulty_new(), with the volume on it, in which nothing is written
 * meanwhile. */
gboolean usage_prove(Volume *volume, Backing *backing, const char *const *names, guint n);

/* The generation of the snapshot; 0: there is none. */
guint64 usage_generation(Volume *volume, const char *name);
