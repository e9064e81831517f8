/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Minimum, maximum and clamp that evaluate each argument once.
 *
 * GLib's MIN(), MAX() and CLAMP() evaluate their arguments up to three times.  An argument that
 * reads a clock, a counter or a growing size may have another value each time, and the result may
 * lie outside the bounds.  Use GLib's macros for variables and constants only (tests/packages/lint
 * checks this), and these functions where an argument is a call.
 */
#pragma once

#include <glib.h>

static inline guint64 min_u64(guint64 a, guint64 b)
{
	return a < b ? a : b;
}

static inline guint64 max_u64(guint64 a, guint64 b)
{
	return a > b ? a : b;
}

static inline guint64 clamp_u64(guint64 value, guint64 least, guint64 most)
{
	return max_u64(least, min_u64(value, most));
}

static inline gint64 min_i64(gint64 a, gint64 b)
{
	return a < b ? a : b;
}

static inline gint64 max_i64(gint64 a, gint64 b)
{
	return a > b ? a : b;
}
