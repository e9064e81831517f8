/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of `storageos top`: what the served volumes did since the samples before.
 *
 * Threading: single-threaded.
 */
#pragma once

#include "cli/sample.h"

typedef enum { TOP_BY_IOPS, TOP_BY_BYTES, TOP_BY_LATENCY, TOP_BY_USED, TOP_BY_NAME } TopOrder;

/* The order that a key stands for: i, b, l, u, n. */
gboolean top_order_of_key(int key, TopOrder *ret_order);

typedef struct {
	const GPtrArray *now, *before; /* of Sample *; `before` may be NULL */
	const GPtrArray *problems;     /* of char *: servers that do not answer */
	const GPtrArray *pools;	       /* of char *: what is said of pools */
	TopOrder order;
	guint columns, lines; /* what there is room for; 0: no limit */
	gboolean screen;      /* with the keys, and what is not shown */
	gboolean colours;
} TopView;

/* The lines, each with a newline.  Free the result. */
char *top_view_format(const TopView *view);
