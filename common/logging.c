/* SPDX-License-Identifier: Apache-2.0 */
#include "common/logging.h"

#include <stdio.h>

static void sink_stderr(LoggingLevel level, const char *line)
{
	(void)level;
	fprintf(stderr, "storageos: %s\n", line);
}

static LoggingSink current_sink = sink_stderr;
static LoggingLevel current_level = LOGGING_INFO;

void logging_set_sink(LoggingSink sink)
{
	current_sink = sink ? sink : sink_stderr;
}

void logging_set_level(LoggingLevel level)
{
	current_level = level;
}

void logging_write(LoggingLevel level, const char *format, ...)
{
	char line[1024]; /* cut, not allocated: a log line must not fail for want of memory */
	va_list args;

	if (level > current_level)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof line, format, args);
	va_end(args);
	current_sink(level, line);
}
