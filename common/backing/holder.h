/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who holds a flock(2) lock, from /proc/locks.
 */
#pragma once

#include <glib.h>
#include <sys/stat.h>

/* "process 1234 (tcmu-runner)", or NULL if nobody is known to hold one.  Free the result. */
char *backing_holder_of_stat(const struct stat *st);
