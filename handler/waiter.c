/* SPDX-License-Identifier: Apache-2.0 */
#include "handler/waiter.h"

#include "handler/spinners.h"

/* After so many chances to wait, one is not taken: if more writes come meanwhile, there are more at
 * a time. */
#define CHANCES 256

/* After a wait in vain, so many chances are passed by: twice as many each time. */
#define PASSES_LEAST 2
#define PASSES_MOST 64

static Spinners spinners;

void waiter_init(Waiter *waiter, Tasks *tasks)
{
	*waiter = (Waiter){.tasks = tasks};
}

gboolean waiter_count(Waiter *waiter, gint n)
{
	waiter->most = MAX(waiter->most, n);
	if (n > waiter->depth) {
		waiter->depth = n;
		return FALSE;
	}
	if (++waiter->chances > CHANCES) {
		waiter->depth = waiter->most;
		waiter->most = 0;
		waiter->chances = 0;
		return FALSE;
	}
	return n == waiter->depth;
}

gboolean waiter_begin(Waiter *waiter)
{
	if (waiter->passed++ < waiter->passes || !spinners_join(&spinners))
		return FALSE;
	if (tasks_collect_begin(waiter->tasks))
		return TRUE;
	spinners_leave(&spinners);
	return FALSE;
}

static gboolean something_came(gpointer data)
{
	return tasks_have_some_given_back(data);
}

Task *waiter_end(Waiter *waiter, gboolean spin)
{
	if (spin) {
		gboolean found = spinners_wait(something_came, waiter->tasks, WAITER_SPIN_US);

		waiter->passed = 0;
		waiter->passes = found ? 0 : CLAMP(2 * waiter->passes, PASSES_LEAST, PASSES_MOST);
	}
	spinners_leave(&spinners);
	return tasks_collect_end(waiter->tasks);
}
