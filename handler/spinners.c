/* SPDX-License-Identifier: Apache-2.0 */
#include "handler/spinners.h"

#include "common/base/thread.h"
#include "common/base/workers.h"

#define ROUNDS 32 /* between two looks at the clock */

static gint find_most(Spinners *spinners)
{
	gint most = g_atomic_int_get(&spinners->most);

	if (!most) {
		most = (gint)thread_processors() / 2;
		most = most ? most : -1;
		g_atomic_int_set(&spinners->most, most);
	}
	return most;
}

gboolean spinners_join(Spinners *spinners)
{
	if (g_atomic_int_add(&spinners->n, 1) < find_most(spinners))
		return TRUE;
	spinners_leave(spinners);
	return FALSE;
}

void spinners_leave(Spinners *spinners)
{
	g_atomic_int_add(&spinners->n, -1);
}

gboolean spinners_wait(gboolean (*came)(gpointer data), gpointer data, guint microseconds)
{
	gint64 end = g_get_monotonic_time() + microseconds;

	do
		for (guint i = 0; i < ROUNDS; i++) {
			if (came(data))
				return TRUE;
			workers_relax();
		}
	while (g_get_monotonic_time() < end);
	return FALSE;
}
