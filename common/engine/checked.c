/* SPDX-License-Identifier: Apache-2.0 */
#include "common/engine/checked.h"

#include <stdlib.h>

#include "common/base/logging.h"

gboolean checked_broken(Backing *backing, const char *text, gboolean ends)
{
	log_error("%s: %s", backing->name, text);
	if (ends)
		abort();
	backing_condemn(backing, text);
	return FALSE;
}
