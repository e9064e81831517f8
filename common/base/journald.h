/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries for the journal of systemd, by journald's native protocol: a line together with fields
 * for programs to filter by.
 *
 * Nothing waits for journald: it may itself wait for a disk that this process serves.  An entry for
 * which it has no room at the moment is lost.
 *
 * Threading: any.
 */
#pragma once

#include "common/base/logging.h"

typedef struct {
	const char *identifier; /* SYSLOG_IDENTIFIER= */
	LoggingLevel level;	/* PRIORITY= */
	const char *line;	/* MESSAGE= */
	LoggingFields fields;	/* STORAGEOS_EVENT=, STORAGEOS_VOLUME=, STORAGEOS_POOL= */
} JournaldEntry;

gboolean journald_is_there(void);

/* FALSE if there is no journald. */
gboolean journald_send(const JournaldEntry *entry);

/* LoggingLevel as a priority of syslog(3). */
int journald_priority(LoggingLevel level);
