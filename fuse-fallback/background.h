/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process that serves in the background, and its parent, which waits until it does.
 *
 * background_start() forks.  In the parent it never returns: the parent waits until the child calls
 * background_ready() or background_fail(), or dies; then it exits with status 0, or with status 1
 * and the child's one line on standard error.  In the child it returns, in a new session.
 */
#pragma once

#include <glib.h>

/* FALSE with *error set if it could not fork.  To be called before any thread is created. */
gboolean background_start(GError **error);

/* Lets the parent exit with 0, and gives up the child's terminal.  FALSE if the parent is gone: its
 * caller was interrupted, and the child should end.  In a process that background_start() did not
 * fork, does nothing and returns TRUE. */
gboolean background_ready(void);

/* Sends `line` to the parent, which prints it.  FALSE if no parent is waiting: then the caller must
 * report it. */
gboolean background_fail(const char *line);
