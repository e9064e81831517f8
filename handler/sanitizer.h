/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carries a SANITIZE out, in a thread of its own: everything is discarded and its space given back;
 * then, where that is asked for, all of it is written with the pattern, at no more than a given
 * rate.
 *
 * It begins when nothing else is under way on the device.  The command that asks for it is answered
 * when it is done; where that takes longer than a command may, "sanitize in progress" is what it is
 * answered, and it goes on.  It does not outlive the device.
 */
#pragma once

#include "handler/scsi.h"

typedef struct Sanitizer Sanitizer;

typedef struct {
	ScsiUnit *unit;
	guint64 rate;	  /* bytes in a second; 0: no limit */
	gint64 deadline;  /* for an answer, microseconds from the beginning */
	const char *name; /* for log lines */
	/* Whether nothing is under way but the SANITIZE. */
	gboolean (*is_idle)(gpointer data);
	/* Answers the command that `cmd` is. */
	void (*answer)(gpointer data, RunnerCommand *cmd, RunnerStatus status);
	gpointer data;
} SanitizerOwner;

Sanitizer *sanitizer_new(const SanitizerOwner *owner);

/* Answers its command where that is due, though its own thread may wait for the disk. */
void sanitizer_tick(Sanitizer *sanitizer);

/* Stops what is under way; then its command has been answered. */
void sanitizer_free(Sanitizer *sanitizer);

/* Begins; from now on the unit is in the state SCSI_SANITIZING.  `cmd` will be answered, always by
 * another thread; with sanitize->immediate, soon.  RUNNER_NO_RESOURCE: there can be no thread. */
RunnerStatus sanitizer_begin(Sanitizer *sanitizer, Volume *volume, RunnerCommand *cmd,
			     const Sanitize *sanitize);
