/* SPDX-License-Identifier: Apache-2.0 */
#include "common/engine/wanted.h"

/* GPrivate, not _Thread_local: a plugin should not need thread-local storage of the process that
 * loads it. */
static GPrivate flag;

void wanted_until(const gint *dropped)
{
	g_private_set(&flag, (gpointer)dropped);
}

gboolean wanted_still(void)
{
	const gint *dropped = g_private_get(&flag);

	return !dropped || !g_atomic_int_get(dropped);
}
