/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines, one for each event; the host decides where they go.  The engine returns errors and
 * does not log them.  It logs only what no caller learns otherwise: a failed checkpoint in the
 * background, a corrupt block.  Each line names its volume.
 *
 * GLib's g_log() is not used, because its handlers in tcmu-runner are the host's.
 *
 * Threading: any thread may log, except while the sink is replaced.
 */
#pragma once

#include <glib.h>

typedef enum { LOGGING_ERROR, LOGGING_WARNING, LOGGING_INFO } LoggingLevel;

/* What a line is about, for hosts whose log has fields; NULL: nothing of the kind. */
typedef struct {
	const char *event;  /* what has happened, of a line that programs may wait for */
	const char *volume; /* "POOL/NAME", or the path of a block device */
	const char *pool;   /* if it is not the volume's */
} LoggingFields;

/* Writes one line; `line` does not end with a newline.  Several threads may call it at once. */
typedef void (*LoggingSink)(LoggingLevel level, const char *line);

/* Replaces the sink; NULL restores the default, which writes "storageos: LINE" to standard error.
 * Must be called before other threads log. */
void logging_set_sink(LoggingSink sink);

void logging_write(LoggingLevel level, const char *format, ...) G_GNUC_PRINTF(2, 3);
void logging_write_fields(LoggingLevel level, const LoggingFields *fields, const char *format, ...)
	G_GNUC_PRINTF(3, 4);

/* For a sink: the fields of the line that it is called with, or NULL. */
const LoggingFields *logging_fields(void);

/* Limits the lines of one source to 10 in 5 s, so that a bad disk or a guest cannot fill the log.
 * The first line after a pause says how many were dropped.  Each place that logs needs a limit of
 * its own, for each volume; it must be zero at first. */
typedef struct {
	gint64 begun;
	guint written, dropped;
} LoggingLimit;

void logging_write_limited(LoggingLimit *limit, LoggingLevel level, const char *format, ...)
	G_GNUC_PRINTF(3, 4);
void logging_write_fields_limited(LoggingLimit *limit, LoggingLevel level,
				  const LoggingFields *fields, const char *format, ...)
	G_GNUC_PRINTF(4, 5);

#define log_error(...) logging_write(LOGGING_ERROR, __VA_ARGS__)
#define log_warning(...) logging_write(LOGGING_WARNING, __VA_ARGS__)
#define log_info(...) logging_write(LOGGING_INFO, __VA_ARGS__)
