/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carries out a SANITIZE in a thread of its own: discards everything and gives its space back;
 * then, for an overwrite, writes the pattern over everything, at no more than a given rate.
 *
 * The work starts when nothing else is under way on the device.  The command is answered when the
 * work is done.  If that takes longer than a command may, the command is answered "sanitize in
 * progress", and the work goes on.  It does not outlive the device.
 */
#pragma once

#include "handler/scsi.h"

typedef struct Sanitizer Sanitizer;

typedef struct {
	ScsiUnit *unit;
	guint64 rate;	  /* bytes a second; 0: no limit */
	gint64 deadline;  /* until the answer, microseconds */
	const char *name; /* for log lines */
	/* Whether nothing is under way but the SANITIZE. */
	gboolean (*is_idle)(gpointer data);
	/* Must complete `cmd`. */
	void (*answer)(gpointer data, RunnerCommand *cmd, RunnerStatus status);
	gpointer data;
} SanitizerOwner;

Sanitizer *sanitizer_new(const SanitizerOwner *owner);

/* Answers the command if its deadline has passed.  Called regularly by another thread, because the
 * sanitizer's own may be waiting for the disk. */
void sanitizer_tick(Sanitizer *sanitizer);

/* Stops the work and joins the thread; the command has been answered then.  NULL is allowed. */
void sanitizer_free(Sanitizer *sanitizer);

/* Starts the work; the unit is in the state SCSI_SANITIZING from now on.  `cmd` will be answered by
 * another thread: at once with sanitize->immediate, otherwise by the deadline.  RUNNER_NO_RESOURCE
 * if no thread can be created; then nothing has changed, and the caller answers. */
RunnerStatus sanitizer_begin(Sanitizer *sanitizer, Volume *volume, RunnerCommand *cmd,
			     const Sanitize *sanitize);
