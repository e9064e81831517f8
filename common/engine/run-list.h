/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A list of runs of slots, in the order in which they were added.  Only run_list_reserve()
 * allocates memory, so run_list_add() cannot fail.
 *
 * Threading: the caller locks.
 */
#pragma once

#include "common/engine/codec.h"

/* A run is packed as in a journal record: slot | count << 40. */
typedef struct {
	guint64 *runs;
	gsize n, capacity;
	guint64 slots; /* the total of all runs */
} RunList;

/* Frees the memory. */
void run_list_clear(RunList *list);

/* Makes room for `entries` more runs.  0 or -ENOMEM. */
int run_list_reserve(RunList *list, gsize entries);

/* Adds a run, for which room was reserved.  A run that continues the last one is merged with it. */
void run_list_add(RunList *list, guint64 slot, guint32 count);

/* Run number `at`, which is less than list->n. */
SlotRun run_list_get(const RunList *list, gsize at);

/* The group of run number `at`; G_MAXUINT64 behind the last run. */
guint64 run_list_group(const RunList *list, gsize at);

/* Removes the last run of a list that is not empty. */
SlotRun run_list_take_last(RunList *list);

/* Orders the runs by slot. */
void run_list_sort(RunList *list);

/* Drops all runs and keeps the memory. */
static inline void run_list_empty(RunList *list)
{
	list->n = list->slots = 0;
}
