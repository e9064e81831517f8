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

void flusher_stay(void)
{
	static __thread gboolean done;

	if (done)
		return;
	done = TRUE;
	flusher_set(TRUE);
}
