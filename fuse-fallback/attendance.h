/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether anybody uses a volume that is served for `storageos attach`.
 *
 * `attach` holds a lock (flock) while it starts the server and creates a device over the volume's
 * file.  If it is killed in between, the lock becomes free while nobody has the file open.  A
 * server that finds that ends as if it had been told to; otherwise it would keep the volume open
 * with no user.
 *
 * Looks ten times a second until the lock has been free once.
 */
#pragma once

#include <glib.h>

typedef struct Attendance Attendance;

/* Watches in a thread of its own.  *users (atomic) is how many have the file open.  Sends SIGTERM
 * to the process if nobody has when the lock becomes free. */
Attendance *attendance_watch(const char *lock_file, const gint *users, GError **error);

/* NULL is allowed. */
void attendance_free(Attendance *attendance);
