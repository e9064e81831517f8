/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Standard output of a program: whether everything that was printed was written.
 *
 * Other programs rely on the output, and much of it is still in a buffer when a program ends.
 * Without these functions, a full disk, a closed descriptor or a reader that has gone would not be
 * noticed.  For main() only.
 */
#pragma once

#include <glib.h>

/* Must be called before anything is printed.  From then on, writing to a reader that has gone fails
 * with EPIPE instead of killing the program in the middle of its work. */
void output_begin(void);

/* Prints the help text of the options.  Disable GLib's own --help: it ends the program without
 * checking that the text was written. */
void output_help(GOptionContext *context);

/* Writes out the buffer.  FALSE if this or any earlier write failed: NO_SPACE or IO, "standard
 * output: No space left on device". */
gboolean output_flush(GError **error);

/* The same at the end of the program; also closes the output, because some file systems report an
 * error only then. */
gboolean output_end(GError **error);

/* Whether the only error is that the reader has gone (`list | head -1`), and the program was
 * started with the default action of SIGPIPE, which is to be killed. */
gboolean output_reader_left(void);

/* Ends the program by SIGPIPE. */
void output_die_of_reader(void);

/* Restores the action of SIGPIPE in a child before exec().  Async-signal-safe. */
void output_child(void);
