/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Standard output of a program: whether everything that was printed has been taken.
 *
 * What is printed is data that somebody goes on with, and often still in a buffer when the program
 * ends.  A disk that is full, a descriptor that is closed or a reader that has gone would go
 * unnoticed then.  For main() alone.
 */
#pragma once

#include <glib.h>

/* To be called before anything is printed.  From then on a reader that has gone is an error of the
 * write, and not the end of the program in the middle of its work. */
void output_begin(void);

/* Prints what the options are.  GLib's own --help would end the program, whether that was printed
 * or not: switch it off. */
void output_help(GOptionContext *context);

/* Writes out what is buffered.  FALSE where something that was printed, now or earlier, was not
 * taken: IO, "standard output: No space left on device". */
gboolean output_flush(GError **error);

/* The same at the end, and closes it: what a file system says only then counts, too. */
gboolean output_end(GError **error);

/* Whether all that went wrong is that the reader has gone, and whoever started the program wanted
 * it to be killed by that, as is usual: `list | head -1`. */
gboolean output_reader_left(void);

/* Ends the program so, quietly. */
void output_die_of_reader(void);

/* In a child before it becomes another program, which expects that signal as usual.
 * Async-signal-safe. */
void output_child(void);
