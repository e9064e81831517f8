/* SPDX-License-Identifier: Apache-2.0 */
#include "common/engine/run-list.h"

#include <errno.h>
#include <stdlib.h>

#define RUN_SLOTS_MAX (((guint64)1 << 24) - 1)

void run_list_clear(RunList *list)
{
	g_free(list->runs);
	*list = (RunList){0};
}

int run_list_reserve(RunList *list, gsize entries)
{
	gsize capacity = list->capacity ? list->capacity : 1024;
	guint64 *runs;

	if (list->n + entries <= list->capacity)
		return 0;
	while (capacity < list->n + entries)
		capacity *= 2;
	runs = g_try_realloc_n(list->runs, capacity, sizeof *runs);
	if (!runs)
		return -ENOMEM;
	list->runs = runs;
	list->capacity = capacity;
	return 0;
}

static inline SlotRun run_unpack(guint64 v)
{
	return (SlotRun){.slot = v & (((guint64)1 << FORMAT_SLOT_BITS) - 1),
			 .count = (guint32)(v >> FORMAT_SLOT_BITS)};
}

static inline guint64 run_pack(SlotRun run)
{
	return run.slot | (guint64)run.count << FORMAT_SLOT_BITS;
}

void run_list_add(RunList *list, guint64 slot, guint32 count)
{
	list->slots += count;
	if (list->n) {
		SlotRun last = run_unpack(list->runs[list->n - 1]);

		if (last.slot + last.count == slot && last.count + count <= RUN_SLOTS_MAX) {
			last.count += count;
			list->runs[list->n - 1] = run_pack(last);
			return;
		}
	}
	list->runs[list->n++] = run_pack((SlotRun){slot, count});
}

SlotRun run_list_get(const RunList *list, gsize at)
{
	return run_unpack(list->runs[at]);
}

SlotRun run_list_take_last(RunList *list)
{
	SlotRun run = run_unpack(list->runs[--list->n]);

	list->slots -= run.count;
	return run;
}

static int run_compare(const void *a, const void *b)
{
	guint64 x = run_unpack(*(const guint64 *)a).slot, y = run_unpack(*(const guint64 *)b).slot;

	return x < y ? -1 : x > y;
}

void run_list_sort(RunList *list)
{
	if (list->n)
		qsort(list->runs, list->n, sizeof(guint64), run_compare);
}

guint64 run_list_group(const RunList *list, gsize at)
{
	return at < list->n ? slot_group(run_unpack(list->runs[at]).slot) : G_MAXUINT64;
}
