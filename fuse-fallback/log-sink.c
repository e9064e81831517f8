/* SPDX-License-Identifier: Apache-2.0 */
/* For g_log_writer_journald(), which speaks journald's native protocol.  What this process logs
 * does not go through g_log(). */
#include "fuse-fallback/log-sink.h"

#include <stdio.h>
#include <syslog.h>
#include <unistd.h>

#include "common/base/logging.h"
#include "common/base/text.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"
#define IDENTIFIER "storageos-fuse"

static char *volume_text, *volume_pool;
static LoggingSink plain_sink; /* if the journal does not take a line */

static void sink_stderr(LoggingLevel level, const char *line)
{
	g_autofree char *printable = text_printable(line);

	(void)level;
	fprintf(stderr, IDENTIFIER ": %s\n", printable);
}

static void sink_syslog(LoggingLevel level, const char *line)
{
	static const int priorities[] = {LOG_ERR, LOG_WARNING, LOG_INFO};

	g_autofree char *printable = text_printable(line);

	syslog(priorities[level], "%s", printable);
}

static void sink_journal(LoggingLevel level, const char *line)
{
	static const char *const priorities[] = {"3", "4", "6"}; /* as of syslog(3) */
	g_autofree char *printable = text_printable(line);
	const GLogField fields[] = {
		{"MESSAGE", printable, -1},
		{"PRIORITY", priorities[level], -1},
		{"SYSLOG_IDENTIFIER", IDENTIFIER, -1},
		{"STORAGEOS_VOLUME", volume_text, -1},
		{"STORAGEOS_POOL", volume_pool, -1},
	};
	gsize n = G_N_ELEMENTS(fields) - (volume_pool ? 0 : 1);

	if (g_log_writer_journald(G_LOG_LEVEL_MESSAGE, fields, n, NULL) != G_LOG_WRITER_HANDLED)
		plain_sink(level, line);
}

void log_sink_begin(void)
{
	logging_set_sink(sink_stderr);
}

void log_sink_serve(const VolumeName *volume, gboolean background)
{
	gboolean journal = background ? !access(JOURNAL_SOCKET, F_OK)
				      : g_log_writer_is_journald(STDERR_FILENO);

	volume_text = volume_name_format(volume);
	volume_pool = g_strdup(volume->pool);
	plain_sink = background ? sink_syslog : sink_stderr;
	if (background)
		openlog(IDENTIFIER, LOG_PID, LOG_DAEMON);
	logging_set_sink(journal ? sink_journal : plain_sink);
}
