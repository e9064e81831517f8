/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Buffers of megabytes for a short time.  large_free() returns the memory to the system, whereas
 * free() may keep it in the heap of each thread that ever allocated so much.
 */
#pragma once

#include <glib.h>

/* The content is undefined.  NULL if memory is short. */
gpointer large_alloc(gsize bytes);

/* Returns the memory to the system while nobody needs its content, which is undefined then; it
 * comes back with its next use. */
void large_rest(gpointer memory, gsize bytes);

/* `bytes` must be the size that was allocated.  `memory` may be NULL. */
void large_free(gpointer memory, gsize bytes);
