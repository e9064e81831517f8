/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets up descriptors and signals that a program inherits from its parent.  Not for the plugin,
 * which runs in a process of another program.
 */
#pragma once

/* Must be the first call in main().  Opens standard input, output and error if they are closed
 * (fd_fill_stdio).  Makes a write beyond `ulimit -f` fail with EFBIG instead of killing the process
 * (SIGXFSZ).  Restores the default of SIGCHLD, so that children can be waited for. */
void program_begin(void);

/* For a server, before it opens a file or starts a thread.  Closes all inherited descriptors except
 * 0, 1 and 2: a process that waits for a lock or for the end of a pipe would otherwise wait until
 * the server ends.  Unblocks all signals, restores the default of SIGTERM, and ignores SIGPIPE, so
 * that the reader of its messages may go away. */
void program_begin_serving(void);

/* For a server that leaves its terminal: restores the defaults of SIGINT and SIGHUP.  A server that
 * stays on the terminal keeps the inherited actions, which may be to ignore them. */
void program_leave_terminal(void);
