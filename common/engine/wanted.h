/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether the request that the calling thread carries out is still wanted.
 *
 * A disk may take longer than a host's callers can wait (a frozen file system).  The host then
 * answers a request that the engine is still carrying out.  Such a request must not change the
 * volume any more: its caller may have sent it again, and other requests after it.  The engine
 * therefore calls wanted_still() before it commits a change, in the same critical section, and ends
 * an unwanted request with -ECANCELED.
 *
 * Threading: each thread has a flag of its own.
 */
#pragma once

#include <glib.h>

/* From now on, a request of this thread is unwanted once `*dropped` (atomic) is not 0.  NULL, the
 * initial state of every thread: requests are always wanted.  Returns the flag that was set before.
 */
const gint *wanted_until(const gint *dropped);

/* FALSE once the flag of wanted_until() is set. */
gboolean wanted_still(void);
