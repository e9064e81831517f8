/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lesser, the greater, and what lies between.
 *
 * GLib's MIN(), MAX() and CLAMP() evaluate their arguments up to three times.  A clock, a counter
 * or a size that grows may answer each time something else, and then the result is in no bounds at
 * all. So those are for variables and constants alone, which tests/packages/lint sees to; what is
 * called goes through these.
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
