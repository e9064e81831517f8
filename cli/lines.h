/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prints long lists for people: the first lines, and how many more there are.
 */
#pragma once

#include <glib.h>

#define LINES_MAX 20u

typedef void (*LinesWrite)(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* Writes "NAME: LINE" for at most `max` lines, then "NAME: and N more (--json lists all)" if there
 * are more.  `write` adds the newline: cli_say(), or lines_print() for standard output. */
void lines_write(const char *name, const GPtrArray *lines, guint max, LinesWrite write);
void lines_print(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* "WHAT A-B", the bytes of blocks [first, end). */
char *lines_range(const char *what, guint64 first, guint64 end);
