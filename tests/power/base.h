/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The base of the linked clones that a program tries: one image, of which nothing may change.
 *
 * Threading: base_open() on any thread, after base_set().
 */
#pragma once

#include "common/engine/volume-base.h"
#include "tests/power/image.h"

#define BASE_SNAPSHOT "base"

/* A copy of an image of a closed volume that has that snapshot.  NULL frees the one before. */
void base_set(Image *image);

/* The snapshot, by its name; its process is another one than the clone's. */
Volume *base_open_snapshot(GError **error);

/* A VolumeBaseOpen. */
Volume *base_open(const BaseIdentity *base, gpointer data, GError **error);
