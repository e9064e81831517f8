/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/logging.h"

#include <stdio.h>

#include "common/base/text.h"

#define LIMIT_LINES 10
#define LIMIT_SECONDS 5

static void sink_stderr(LoggingLevel level, const char *line)
{
	g_autofree char *printable = text_printable(line);

	(void)level;
	fprintf(stderr, "storageos: %s\n", printable);
}

static LoggingSink current_sink = sink_stderr;
/* GPrivate, not __thread: a plugin should not need thread-local storage of the process that loads
 * it. */
static GPrivate current_fields;

void logging_set_sink(LoggingSink sink)
{
	current_sink = sink ? sink : sink_stderr;
}

const LoggingFields *logging_fields(void)
{
	return g_private_get(&current_fields);
}

G_GNUC_PRINTF(3, 0)
static void line_write(LoggingLevel level, const LoggingFields *fields, const char *format,
		       va_list args)
{
	char line[1024]; /* longer lines are cut: logging must not fail for lack of memory */

	if (vsnprintf(line, sizeof line, format, args) >= (int)sizeof line)
		line[text_whole_length(line, sizeof line - 1)] = '\0';
	g_private_set(&current_fields, (gpointer)fields);
	current_sink(level, line);
	g_private_set(&current_fields, NULL);
}

void logging_write(LoggingLevel level, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	line_write(level, NULL, format, args);
	va_end(args);
}

void logging_write_fields(LoggingLevel level, const LoggingFields *fields, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	line_write(level, fields, format, args);
	va_end(args);
}

/* Whether another line may be written.  For the first line of a new period, *ret_dropped is the
 * number of lines dropped in the last one; otherwise 0. */
static gboolean limit_allows(LoggingLimit *limit, guint *ret_dropped)
{
	static GMutex lock;
	gint64 now = g_get_monotonic_time();
	gboolean allowed;

	*ret_dropped = 0;
	g_mutex_lock(&lock);
	if (!limit->begun || now - limit->begun >= LIMIT_SECONDS * G_USEC_PER_SEC) {
		*ret_dropped = limit->dropped;
		*limit = (LoggingLimit){.begun = now};
	}
	allowed = limit->written < LIMIT_LINES;
	if (allowed)
		limit->written++;
	else
		limit->dropped++;
	g_mutex_unlock(&lock);
	return allowed;
}

/* Whether the line may be written; says how many were not. */
static gboolean limit_pass(LoggingLimit *limit, LoggingLevel level)
{
	guint dropped;

	if (!limit_allows(limit, &dropped))
		return FALSE;
	if (dropped)
		logging_write(level, "%u lines like the next one were not logged", dropped);
	return TRUE;
}

void logging_write_limited(LoggingLimit *limit, LoggingLevel level, const char *format, ...)
{
	va_list args;

	if (!limit_pass(limit, level))
		return;
	va_start(args, format);
	line_write(level, NULL, format, args);
	va_end(args);
}

void logging_write_fields_limited(LoggingLimit *limit, LoggingLevel level,
				  const LoggingFields *fields, const char *format, ...)
{
	va_list args;

	if (!limit_pass(limit, level))
		return;
	va_start(args, format);
	line_write(level, fields, format, args);
	va_end(args);
}
