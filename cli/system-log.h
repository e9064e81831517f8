/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The system's log: what verbs say where standard error is the journal, as in a unit, and what they
 * leave there wherever they run.
 *
 * Threading: single-threaded.
 */
#pragma once

#include "common/base/journald.h"

/* What the following lines are about, if they do not say it themselves (logging_fields()): a
 * volume, a pool, or neither (NULL). */
void system_log_about(const char *volume, const char *pool);

/* Writes a line for the user to the journal, with its fields.  FALSE if standard error is not the
 * journal. */
gboolean system_log_take(LoggingLevel level, const char *line);

/* Leaves an event in the log, of what the lines are about.  TRUE if whoever reads standard error
 * sees it there, too. */
gboolean system_log_event(LoggingLevel level, const char *event, const char *format, ...)
	G_GNUC_PRINTF(3, 4);
