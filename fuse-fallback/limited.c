/* SPDX-License-Identifier: Apache-2.0 */
#include "fuse-fallback/limited.h"

#include <string.h>

/* A request that waits; the task follows, and then the data. */
typedef struct {
	LimiterItem held; /* first */
	WorkItem item;
	Limited *limited;
	SleepersKind by;
	gsize length;	/* of the data */
	guint64 task[]; /* aligned as any task needs */
} HeldRequest;

#define ROOM(size) (((size) + 7) & ~(gsize)7)

static void held_run(WorkItem *item)
{
	HeldRequest *held = (void *)((char *)item - G_STRUCT_OFFSET(HeldRequest, item));
	const Limited *limited = held->limited;
	guint8 *data = (guint8 *)held->task + ROOM(limited->size);

	limited->run(held->task, held->length ? data : NULL);
	g_free(held);
}

static void held_go(gpointer data, LimiterItem *item)
{
	HeldRequest *held = (HeldRequest *)item;
	Limited *limited = data;

	sleepers_push(limited->sleepers, held->by, &held->item);
}

static HeldRequest *held_new(Limited *limited, const LimitedRequest *request, gconstpointer task)
{
	gsize length = request->data ? request->length : 0;
	HeldRequest *held = g_try_malloc(sizeof *held + ROOM(limited->size) + length);

	if (!held)
		return NULL;
	held->item.run = held_run;
	held->limited = limited;
	held->by = request->by;
	held->length = length;
	memcpy(held->task, task, limited->size);
	if (length)
		memcpy((guint8 *)held->task + ROOM(limited->size), request->data, length);
	return held;
}

gboolean limited_holds(Limited *limited, const LimitedRequest *request, gconstpointer task)
{
	HeldRequest *held;

	if (!limiter_limits(&limited->limiter, limiter_direction(request->kind)))
		return FALSE;
	held = held_new(limited, request, task);
	if (!held)
		return FALSE;
	if (limiter_holds(&limited->limiter, &held->held, request->kind, request->bytes))
		return TRUE;
	g_free(held);
	return FALSE;
}

void limited_init(Limited *limited, Sleepers *sleepers, SleepersRun run, gsize size)
{
	const LimiterOwner owner = {.go = held_go, .data = limited};

	limited->sleepers = sleepers;
	limited->run = run;
	limited->size = size;
	limiter_init(&limited->limiter, &owner);
}

void limited_clear(Limited *limited)
{
	limiter_clear(&limited->limiter);
}
