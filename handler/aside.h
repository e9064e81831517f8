/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work that may never end, because it opens or closes something on a disk that does not answer:
 * carried out in a thread of its own, and waited for only so long.
 *
 * Work that has not settled in time is *late*.  While any work of a group (a pool, that is one file
 * system) is late, later waits for that group are shorter, so that a hundred volumes on a hanging
 * disk cost the runner's main thread little more than one.
 *
 * The threads block all signals.  Whoever starts the work frees it (aside_free()) or gives it up
 * (aside_leave()).
 */
#pragma once

#include <glib.h>

typedef struct Aside Aside;
typedef void (*AsideFunction)(Aside *aside, gpointer data);

/* Calls function(aside, data) in a new thread.  NULL with *error if there is no memory or no
 * thread. */
Aside *aside_start(const char *group, AsideFunction function, gpointer data, GError **error);

/* How long to wait, microseconds: `first`, or `others` if work of the same group is late. */
typedef struct {
	gint64 first, others;
} AsidePatience;

/* Waits until the function has returned or called aside_settle(), but no longer than `patience`
 * allows.  FALSE: the work is late from now on. */
gboolean aside_wait(Aside *aside, AsidePatience patience);

/* For the function: the part that is waited for is done.  FALSE if it was late.  So exactly one of
 * the two threads, the waiting one or the working one, learns that it has to report the result. */
gboolean aside_settle(Aside *aside);

/* Joins the thread, however long that takes.  NULL is allowed. */
void aside_free(Aside *aside);

/* Gives the work up: it frees itself when it ends. */
void aside_leave(Aside *aside);
