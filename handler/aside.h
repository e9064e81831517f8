/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work that may never end, as it opens or closes something on a disk that does not answer: done in
 * a thread of its own, and waited for only so long.
 *
 * What is not done in time is *late*.  While something of a group (a pool: one file system) is
 * late, there is less patience with the others of the group, so that a hundred volumes on a disk
 * that hangs cost the runner's main thread little more than one.
 *
 * Threads have all signals blocked.  Ownership: who starts it frees it, or leaves it to itself.
 */
#pragma once

#include <glib.h>

typedef struct Aside Aside;
typedef void (*AsideFunction)(Aside *aside, gpointer data);

/* NULL: there is no memory, or can be no thread. */
Aside *aside_start(const char *group, AsideFunction function, gpointer data, GError **error);

/* Microseconds; the second where something of the group is late already. */
typedef struct {
	gint64 first, others;
} AsidePatience;

/* Waits until the function has returned, or said that it is done with what is waited for, but no
 * longer than that.  FALSE: it is late. */
gboolean aside_wait(Aside *aside, AsidePatience patience);

/* For the function itself: what is waited for is done.  FALSE: it was late. */
gboolean aside_settle(Aside *aside);

/* Waits for the end of the thread, however long that takes.  NULL is allowed. */
void aside_free(Aside *aside);

/* It frees itself when it ends. */
void aside_leave(Aside *aside);
