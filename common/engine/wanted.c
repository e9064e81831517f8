/* SPDX-License-Identifier: Apache-2.0 */
#include "common/engine/wanted.h"

/* Not of the compiler's own kind, which a plugin should not ask of the process that loads it. */
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
