/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A terminal as a full screen: what was on it comes back in the end.  Plain ANSI (ECMA-48) and
 * xterm's alternate screen, which every terminal emulator in use has.
 *
 * Threading: the main thread; one at a time.  interrupt_hold() must have been called, so that a
 * signal does not end the program before terminal_leave().
 */
#pragma once

#include <glib.h>

/* Whether standard input and output are one. */
gboolean terminal_is_there(void);

/* Whether colours are wanted: not with NO_COLOR (no-color.org), nor on TERM=dumb. */
gboolean terminal_has_colours(void);

/* Keys come one by one and are not shown; Ctrl-C still sends its signal.  FALSE if the terminal
 * refuses. */
gboolean terminal_enter(GError **error);
void terminal_leave(void);

/* Its size in characters; 80 and 24 if it does not tell. */
void terminal_size(guint *ret_columns, guint *ret_lines);

/* Replaces what is shown.  The lines end with newlines, and must fit. */
void terminal_show(const char *text);

/* The next key within `milliseconds`, or 0.  -1: there will be none. */
int terminal_key(guint milliseconds);
