/* SPDX-License-Identifier: Apache-2.0 */
#include "handler/flusher.h"

#include <sys/prctl.h>

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#define PR_GET_IO_FLUSHER 58
#endif

gboolean flusher_set(gboolean on)
{
	gboolean before = prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0) == 1;

	if (before != on)
		prctl(PR_SET_IO_FLUSHER, on, 0, 0, 0);
	return before;
}

/* Looks each time: a thread's own variable would be allocated by the C library, which ends the
 * process where it has no memory for it. */
void flusher_stay(void)
{
	flusher_set(TRUE);
}
