/* SPDX-License-Identifier: Apache-2.0 */
#include "common/engine/usage-plan.h"

#include <string.h>

#define NONE G_MAXUINT /* index: no node */

/* A node of the lineage.  The last one is the head. */
typedef struct {
	guint above;	/* index; NONE */
	guint children; /* that are not gone */
	guint heir;	/* of one that is gone: its child then, or NONE */
	gboolean leaves, gone;
} LineageNode;

struct UsageLineage {
	guint n; /* snapshots */
	guint64 *generations;
	LineageNode *nodes; /* n + 1, once all that is deleted in any case is gone */
	LineageNode *now;   /* the same, to plan with */
};

static guint index_find(const UsageLineage *lineage, guint64 generation)
{
	guint from = 0, to = lineage->n;

	while (from < to) {
		guint middle = from + (to - from) / 2;

		if (lineage->generations[middle] == generation)
			return middle;
		if (lineage->generations[middle] < generation)
			from = middle + 1;
		else
			to = middle;
	}
	return NONE;
}

/* The one child that is left. */
static guint child_find(const UsageLineage *lineage, guint parent)
{
	for (guint i = parent + 1; i <= lineage->n; i++)
		if (!lineage->now[i].gone && lineage->now[i].above == parent)
			return i;
	return NONE;
}

/* Has the node go if it may, and then those above that waited for it. */
static void node_remove(UsageLineage *lineage, guint i)
{
	LineageNode *nodes = lineage->now;

	while (i != NONE && nodes[i].leaves && !nodes[i].gone && nodes[i].children < 2) {
		guint above = nodes[i].above;

		nodes[i].heir = nodes[i].children ? child_find(lineage, i) : NONE;
		nodes[i].gone = TRUE;
		if (nodes[i].heir != NONE)
			nodes[nodes[i].heir].above = above;
		else if (above != NONE)
			nodes[above].children--;
		i = above;
	}
}

UsageLineage *usage_lineage_new(const UsageNode *nodes, guint n, guint64 head_above)
{
	UsageLineage *lineage = g_try_new0(UsageLineage, 1);

	if (!lineage)
		return NULL;
	lineage->n = n;
	lineage->generations = g_try_new(guint64, n + 1);
	lineage->nodes = g_try_new0(LineageNode, n + 1);
	lineage->now = g_try_new0(LineageNode, n + 1);
	if (!lineage->generations || !lineage->nodes || !lineage->now) {
		usage_lineage_free(lineage);
		return NULL;
	}
	for (guint i = 0; i < n; i++)
		lineage->generations[i] = nodes[i].generation;
	for (guint i = 0; i <= n; i++) {
		LineageNode *node = &lineage->now[i];

		node->above = index_find(lineage, i < n ? nodes[i].above : head_above);
		node->leaves = i < n && nodes[i].deleting;
		if (node->above != NONE)
			lineage->now[node->above].children++;
	}
	for (guint i = 0; i < n; i++)
		node_remove(lineage, i);
	memcpy(lineage->nodes, lineage->now, (n + 1) * sizeof *lineage->now);
	return lineage;
}

void usage_lineage_free(UsageLineage *lineage)
{
	if (!lineage)
		return;
	g_free(lineage->generations);
	g_free(lineage->nodes);
	g_free(lineage->now);
	g_free(lineage);
}

/* The pair of a node that goes. */
static UsagePair pair_of(const UsageLineage *lineage, guint i)
{
	guint above = lineage->nodes[i].above, heir = i;

	while (heir != NONE && lineage->now[heir].gone)
		heir = lineage->now[heir].heir;
	return (UsagePair){.generation = lineage->generations[i],
			   .threshold = above == NONE ? 0 : lineage->generations[above],
			   .beside = heir == NONE	  ? 0
				     : heir == lineage->n ? USAGE_BESIDE_HEAD
							  : lineage->generations[heir]};
}

guint usage_plan(UsageLineage *lineage, const guint64 *generations, guint n, UsagePair *pairs,
		 guint *ret_n)
{
	guint staying = 0, n_pairs = 0;

	memcpy(lineage->now, lineage->nodes, (lineage->n + 1) * sizeof *lineage->now);
	for (guint i = 0; i < n; i++) {
		guint at = index_find(lineage, generations[i]);

		if (at != NONE)
			lineage->now[at].leaves = TRUE;
	}
	for (guint i = 0; i < n; i++)
		node_remove(lineage, index_find(lineage, generations[i]));
	for (guint i = 0; i < n; i++) {
		guint at = index_find(lineage, generations[i]);

		staying += at != NONE && !lineage->now[at].gone;
	}
	for (guint i = 0; i < lineage->n; i++)
		if (lineage->now[i].gone && !lineage->nodes[i].gone)
			pairs[n_pairs++] = pair_of(lineage, i);
	*ret_n = n_pairs;
	return staying;
}
