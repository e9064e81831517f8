/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that others need to write pages back: what the kernel allocates for them does not wait
 * for I/O, which may be what they are to carry out, and their writes are held back by their own
 * disk alone, not by how much of the page cache is dirty, which they are to clean
 * (PR_SET_IO_FLUSHER, from Linux 5.6 on, for CAP_SYS_RESOURCE; elsewhere nothing happens).
 *
 * For threads and not for the process, which belongs to others.  A thread hands it on to those that
 * it makes.
 */
#pragma once

#include <glib.h>

/* The calling thread is one from now on, or is not.  Returns whether it was. */
gboolean flusher_set(gboolean on);

/* It is one, from the first call on. */
void flusher_stay(void);
