/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of megabytes that is wanted for a moment.  What is given back goes back to the system:
 * malloc() keeps it, once for each thread that ever asked for so much.
 */
#pragma once

#include <glib.h>

/* Not zeroed.  NULL where there is none. */
gpointer large_alloc(gsize bytes);

/* With what it was asked for.  NULL is allowed. */
void large_free(gpointer memory, gsize bytes);
