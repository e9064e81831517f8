/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the dispatch thread waits for short writes.
 *
 * Once as many writes are under way as the initiator has at a time, no command comes until one of
 * them is answered.  The thread would sleep, and be woken for the next command, which costs more
 * than a write does.  Instead it spins until some writes have been carried out, and answers these.
 * It waits for WAITER_SPIN_US and no longer, whatever the disk does.
 *
 *     waiter_count()   for each short write: TRUE if all that there are at a time are under way
 *     waiter_begin()   TRUE: waiting is worthwhile
 *     ...              the write is handed over
 *     waiter_end()     the tasks that were given back: to be answered and freed
 *
 * How many writes there are at a time is found out by not waiting now and then.  Where waiting was
 * in vain it is tried more rarely.  How many threads of the process may wait: see spinners.h.
 *
 * Threading: one thread at a time uses a Waiter.
 */
#pragma once

#include "handler/tasks.h"

#define WAITER_SPIN_US 50

typedef struct {
	Tasks *tasks;
	gint depth;	      /* so many writes are under way at a time */
	gint most;	      /* so many were since that was set */
	guint chances;	      /* since then */
	guint passes, passed; /* chances to be passed by, after one that was in vain */
} Waiter;

void waiter_init(Waiter *waiter, Tasks *tasks);

/* `n`: so many short writes are under way, with this one. */
gboolean waiter_count(Waiter *waiter, gint n);

gboolean waiter_begin(Waiter *waiter);

/* The tasks, in the order in which they were given back, linked by `next`; there may be none.  With
 * `spin` FALSE, only those that were given back already.
 *
 * The Waiter and the device must not be touched afterwards: the last command may have been
 * answered. */
Task *waiter_end(Waiter *waiter, gboolean spin);
