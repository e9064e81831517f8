/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process that serves in the background, started by one that waits until it does.
 *
 * background_start() forks.  The parent stays in it until the child calls background_ready() or
 * background_fail(), or ends; then the parent exits, with status 0, or with 1 and the child's one
 * line on standard error.  The child returns, in a session of its own.
 */
#pragma once

#include <glib.h>

/* FALSE with *error set where it could not fork.  To be called before any thread is made. */
gboolean background_start(GError **error);

/* From now on the child has nothing of the caller's terminal; the parent exits with 0.  FALSE where
 * that does not wait any more: whoever started it was interrupted, and the child should end.  Does
 * nothing in a process that was not started so. */
gboolean background_ready(void);

/* Hands `line` to the parent, which prints it.  FALSE if there is no parent waiting: then the
 * caller reports it itself. */
gboolean background_fail(const char *line);
