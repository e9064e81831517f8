/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether anybody came for a volume that is served for `storageos attach`.
 *
 * Whoever attaches holds a lock (flock) while it starts the server and makes a device of the
 * volume's file. It may be killed anywhere between: then the lock is free, and nobody has the file
 * open.  A server that sees that ends as if it had been told to; otherwise it would have the volume
 * open for nobody.
 *
 * Looks ten times a second, until the lock was free once.
 */
#pragma once

#include <glib.h>

typedef struct Attendance Attendance;

/* `users`, atomic, is how many have the file open now.  The process gets SIGTERM where nobody
 * comes. */
Attendance *attendance_watch(const char *lock_file, const gint *users, GError **error);

/* NULL is allowed. */
void attendance_free(Attendance *attendance);
