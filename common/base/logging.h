/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line an event, to wherever the host wants it.  The engine returns errors and does not log
 * them; it logs what no caller hears of (a background checkpoint that failed, a corrupt block).
 * Each line names the volume it speaks of.  Thread-safe.
 *
 * Not GLib's g_log(): inside tcmu-runner that belongs to somebody else.
 */
#pragma once

#include <glib.h>

typedef enum { LOGGING_ERROR, LOGGING_WARNING, LOGGING_INFO, LOGGING_DEBUG } LoggingLevel;

/* `line` has no newline at its end.  May be called from any thread, several at once. */
typedef void (*LoggingSink)(LoggingLevel level, const char *line);

/* Replaces the sink (the default writes "storageos: LINE" to standard error); NULL restores it.
 * Call before other threads log. */
void logging_set_sink(LoggingSink sink);

/* Lines above `level` are dropped; LOGGING_INFO at first. */
void logging_set_level(LoggingLevel level);

void logging_write(LoggingLevel level, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* For lines that requests cause, so that a bad disk or a guest does not fill the log: 10 in 5
 * seconds, then none; the next one says how many there would have been.  One for each place, and
 * for each volume where there are several; zero at first. */
typedef struct {
	gint64 begun;
	guint written, dropped;
} LoggingLimit;

void logging_write_limited(LoggingLimit *limit, LoggingLevel level, const char *format, ...)
	G_GNUC_PRINTF(3, 4);

#define log_error(...) logging_write(LOGGING_ERROR, __VA_ARGS__)
#define log_warning(...) logging_write(LOGGING_WARNING, __VA_ARGS__)
#define log_info(...) logging_write(LOGGING_INFO, __VA_ARGS__)
#define log_debug(...) logging_write(LOGGING_DEBUG, __VA_ARGS__)
