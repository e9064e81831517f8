/* SPDX-License-Identifier: Apache-2.0 */
#include "common/engine/waits.h"

/* GPrivate, not _Thread_local: a plugin should not need thread-local storage of the process that
 * loads it. */
static GPrivate total;

guint64 waits_total(void)
{
	return (gsize)g_private_get(&total);
}

void waits_add(gint64 start)
{
	g_private_set(&total,
		      (gpointer)(gsize)(waits_total() + (guint64)(g_get_monotonic_time() - start)));
}
