/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which blocks are lost to whom.  A lost block is lost to every root that shares it, and a root
 * does not read what it shares.  So each root inherits the ranges of the root above.
 */
#include "common/base/bounds.h"
#include "common/check/check-private.h"

/* Ranges come in order. */
static void range_add(Check *check, GArray *lost, guint64 first, guint64 end)
{
	CheckRange range = {first, end};
	CheckRange *last = lost->len ? &g_array_index(lost, CheckRange, lost->len - 1) : NULL;

	if (first >= end)
		return;
	if (last && last->end == first) {
		last->end = end;
	} else if (check->n_ranges < CHECK_RANGES) {
		check->n_ranges++;
		g_array_append_val(lost, range);
	}
}

void check_lose_blocks(Check *check, CheckRoot *root, guint64 first, guint64 end, gboolean below)
{
	end = min_u64(end, root->blocks);
	range_add(check, root->lost, first, end);
	if (below)
		range_add(check, root->lost_below, first, end);
}

/* The first range that ends behind a block. */
static guint find_range(const GArray *lost, guint64 block)
{
	guint low = 0, high = lost->len;

	while (low < high) {
		guint middle = low + (high - low) / 2;

		if (g_array_index(lost, CheckRange, middle).end <= block)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void ranges_inherit(Check *check, GArray *lost, const GArray *from, guint64 first,
			   guint64 end)
{
	for (guint i = find_range(from, first); i < from->len; i++) {
		CheckRange range = g_array_index(from, CheckRange, i);

		if (range.first >= end)
			return;
		range_add(check, lost, max_u64(range.first, first), min_u64(range.end, end));
	}
}

void check_inherit_lost(Check *check, CheckRoot *root, const CheckRoot *from, guint64 first,
			guint64 end)
{
	end = min_u64(end, root->blocks);
	ranges_inherit(check, root->lost, from->lost, first, end);
	ranges_inherit(check, root->lost_below, from->lost_below, first, end);
}
