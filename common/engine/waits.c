/* SPDX-License-Identifier: Apache-2.0 */
#include "common/engine/waits.h"

/* Not of the compiler's own kind, which a plugin should not ask of the process that loads it. */
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
