/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hash table from a node's slot to what is below the node, with open addressing: 16 bytes for
 * each node, and as many again that are free.  A shared node is not read a second time.
 */
#include "common/check/check-private.h"

#define NODES_BITS 28 /* 64 TiB has fewer than 2^27 nodes, and 2^34 blocks */

typedef struct {
	guint64 slot; /* 0: free */
	guint64 below;
} CountsItem;

struct CheckCounts {
	CountsItem *items;
	guint shift; /* there are 1 << shift */
	guint64 n;
};

CheckCounts *check_counts_new(void)
{
	CheckCounts *counts = g_try_new0(CheckCounts, 1);

	if (!counts)
		return NULL;
	counts->shift = 10;
	counts->items = g_try_new0(CountsItem, (gsize)1 << counts->shift);
	if (counts->items)
		return counts;
	g_free(counts);
	return NULL;
}

void check_counts_free(CheckCounts *counts)
{
	if (!counts)
		return;
	g_free(counts->items);
	g_free(counts);
}

/* The item of the slot, or the free one where it belongs. */
static CountsItem *item_find(const CheckCounts *counts, guint64 slot)
{
	guint64 mask = ((guint64)1 << counts->shift) - 1;
	guint64 i = slot * 0x9e3779b97f4a7c15u >> (64 - counts->shift);

	while (counts->items[i].slot && counts->items[i].slot != slot)
		i = (i + 1) & mask;
	return &counts->items[i];
}

static gboolean counts_grow(CheckCounts *counts)
{
	CountsItem *old = counts->items;
	guint64 n = (guint64)1 << counts->shift;
	CountsItem *items = g_try_new0(CountsItem, n * 2);

	if (!items)
		return FALSE;
	counts->items = items;
	counts->shift++;
	for (guint64 i = 0; i < n; i++)
		if (old[i].slot)
			*item_find(counts, old[i].slot) = old[i];
	g_free(old);
	return TRUE;
}

gboolean check_counts_put(CheckCounts *counts, guint64 slot, const CheckCount *count)
{
	if (counts->n >> (counts->shift - 1) && !counts_grow(counts))
		return FALSE;
	*item_find(counts, slot) = (CountsItem){slot, count->data << NODES_BITS | count->nodes};
	counts->n++;
	return TRUE;
}

gboolean check_counts_get(const CheckCounts *counts, guint64 slot, CheckCount *ret_count)
{
	const CountsItem *item = item_find(counts, slot);

	if (!item->slot)
		return FALSE;
	*ret_count = (CheckCount){.data = item->below >> NODES_BITS,
				  .nodes = item->below & (((guint64)1 << NODES_BITS) - 1)};
	return TRUE;
}
