/* SPDX-License-Identifier: Apache-2.0 */
#include "fuse-fallback/log-sink.h"

#include <stdio.h>
#include <syslog.h>
#include <unistd.h>

#include "common/base/journald.h"
#include "common/base/text.h"

#define IDENTIFIER "storageos-fuse"

static char *volume_text;
static LoggingSink plain_sink; /* if the journal does not take a line */

static void sink_stderr(LoggingLevel level, const char *line)
{
	g_autofree char *printable = text_printable(line);

	(void)level;
	fprintf(stderr, IDENTIFIER ": %s\n", printable);
}

static void sink_syslog(LoggingLevel level, const char *line)
{
	g_autofree char *printable = text_printable(line);

	syslog(journald_priority(level), "%s", printable);
}

static void sink_journal(LoggingLevel level, const char *line)
{
	const LoggingFields served = {.volume = volume_text};
	const LoggingFields *own = logging_fields();

	if (!journald_send(&(JournaldEntry){IDENTIFIER, level, line, own ? *own : served}))
		plain_sink(level, line);
}

void log_sink_begin(void)
{
	logging_set_sink(sink_stderr);
}

void log_sink_serve(const VolumeName *volume, gboolean background)
{
	gboolean journal =
		background ? journald_is_there() : g_log_writer_is_journald(STDERR_FILENO);

	volume_text = volume_name_format(volume);
	plain_sink = background ? sink_syslog : sink_stderr;
	if (background)
		openlog(IDENTIFIER, LOG_PID, LOG_DAEMON);
	logging_set_sink(journal ? sink_journal : plain_sink);
}
