/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists that can be long, for people: the first lines, and how many more there are.
 */
#pragma once

#include <glib.h>

#define LINES_MAX 20u

typedef void (*LinesWrite)(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* "NAME: LINE" for each, `max` of them at most, then "NAME: and N more (--json lists all)".  To
 * `write`, which ends the line: cli_say(), or lines_print() for standard output. */
void lines_write(const char *name, const GPtrArray *lines, guint max, LinesWrite write);
void lines_print(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* "WHAT A-B", the bytes of blocks [first, end). */
char *lines_range(const char *what, guint64 first, guint64 end);
