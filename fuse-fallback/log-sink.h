/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the server's log lines go: to the journal of systemd, with fields that say of which volume
 * they are; without a journal to syslog, or in the foreground to standard error.
 *
 * A line that does not say itself what it is about is about the volume that is served.
 *
 * Threading: log_sink_begin() and log_sink_serve() before other threads log.
 */
#pragma once

#include "common/service/volume-name.h"

/* Standard error, until the volume is known. */
void log_sink_begin(void);

/* From now on this process serves the volume.  In the background the lines go to the journal if
 * there is one; in the foreground if standard error is connected to it (JOURNAL_STREAM of
 * systemd.exec(5)). */
void log_sink_serve(const VolumeName *volume, gboolean background);
