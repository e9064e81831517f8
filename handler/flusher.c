/* SPDX-License-Identifier: Apache-2.0 */
#include "handler/flusher.h"

#include <pthread.h>
#include <sys/prctl.h>

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#define PR_GET_IO_FLUSHER 58
#endif

/* Holds a non-NULL value in threads that have called flusher_stay().  A key instead of a __thread
 * variable: the C library allocates a shared object's thread variables at their first use and ends
 * the process when it cannot; pthread_setspecific() returns an error. */
static pthread_key_t staying;
static gboolean has_key;

static void key_create(void)
{
	has_key = pthread_key_create(&staying, NULL) == 0;
}

gboolean flusher_set(gboolean on)
{
	gboolean before = prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0) == 1;

	if (before != on)
		prctl(PR_SET_IO_FLUSHER, on, 0, 0, 0);
	return before;
}

/* Without a key, or without memory for a value, the kernel is asked each time. */
void flusher_stay(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, key_create);
	if (has_key && pthread_getspecific(staying))
		return;
	flusher_set(TRUE);
	if (has_key)
		pthread_setspecific(staying, &staying);
}
