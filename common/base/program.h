/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What our programs make of what they inherit from whoever starts them.  The plugin, whose process
 * is somebody else's, uses none of this.
 */
#pragma once

/* The first call of every program of ours.  Standard input, output and error are open (fd.h: a
 * closed one is still one that cannot be written to).  A file that would grow beyond `ulimit -f` is
 * an error of the write (EFBIG) and no death; ended children are waited for, whatever the parent
 * thought of them. */
void program_begin(void);

/* For one that serves until it is told to end, before it has opened anything or made a thread.  It
 * keeps none of the descriptors that it was started with but 0, 1 and 2: whoever waits for a lock
 * or for the end of a pipe would wait for its whole life.  It can be told to end (SIGTERM), and
 * somebody who reads its messages may go away (SIGPIPE). */
void program_begin_serving(void);

/* The same for SIGINT and SIGHUP, which a server that stays on a terminal may be meant to ignore.
 */
void program_leave_terminal(void);
