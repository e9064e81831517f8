/* SPDX-License-Identifier: Apache-2.0 */
/*
 * I/O flushers: threads that others need in order to write dirty pages back (PR_SET_IO_FLUSHER).
 *
 * The kernel satisfies their memory allocations without waiting for I/O, which may be the I/O that
 * they are to carry out, and throttles their writes by the state of their own disk only, not by how
 * much of the page cache is dirty.  Available from Linux 5.6 on with CAP_SYS_RESOURCE; otherwise
 * nothing happens.
 *
 * Set for single threads, since the process belongs to others.  A thread inherits the setting of
 * the one that creates it.
 */
#pragma once

#include <glib.h>

/* Makes the calling thread an I/O flusher, or an ordinary thread.  Returns what it was before. */
gboolean flusher_set(gboolean on);

/* Makes the calling thread an I/O flusher for good.  Cheap after a thread's first call. */
void flusher_stay(void);
