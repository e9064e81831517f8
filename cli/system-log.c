/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/system-log.h"

#include <syslog.h>
#include <unistd.h>

#define IDENTIFIER "storageos"

static char *about_volume, *about_pool;

void system_log_about(const char *volume, const char *pool)
{
	g_free(about_volume);
	g_free(about_pool);
	about_volume = g_strdup(volume);
	about_pool = g_strdup(pool);
}

static gboolean line_send(LoggingLevel level, const char *event, const char *line)
{
	const LoggingFields about = {event, about_volume, about_pool};
	const LoggingFields *own = logging_fields();

	return journald_send(&(JournaldEntry){IDENTIFIER, level, line, own ? *own : about});
}

static gboolean is_stderr_journal(void)
{
	return g_log_writer_is_journald(STDERR_FILENO);
}

gboolean system_log_take(LoggingLevel level, const char *line)
{
	return is_stderr_journal() && line_send(level, NULL, line);
}

gboolean system_log_event(LoggingLevel level, const char *event, const char *format, ...)
{
	g_autofree char *line = NULL;
	va_list args;

	va_start(args, format);
	line = g_strdup_vprintf(format, args);
	va_end(args);
	if (line_send(level, event, line))
		return is_stderr_journal();
	syslog(journald_priority(level), "%s", line);
	return FALSE;
}
