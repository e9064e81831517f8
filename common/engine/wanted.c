/* SPDX-License-Identifier: Apache-2.0 */
#include "common/engine/wanted.h"

/* GPrivate, not _Thread_local: a plugin should not need thread-local storage of the process that
 * loads it. */
static GPrivate flag;

const gint *wanted_until(const gint *dropped)
{
	const gint *before = g_private_get(&flag);

	g_private_set(&flag, (gpointer)dropped);
	return before;
}

gboolean wanted_still(void)
{
	const gint *dropped = g_private_get(&flag);

	return !dropped || !g_atomic_int_get(dropped);
}
