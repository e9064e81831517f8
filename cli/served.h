/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compares what is served under a volume's name with what the name leads to now.  While a server
 * has the volume's file open, that file may be deleted or replaced, or another disk mounted over
 * its pool.  Then the only thing that may be done by the name is to detach the volume.
 */
#pragma once

#include "cli/facts.h"
#include "cli/sample.h"

/* A message that says how they differ; NULL if they do not, or nothing is served.  `facts` and
 * `problem` (may be NULL) come from facts_read(); `sample` is what the server reports, or NULL.
 * Free the result. */
char *served_difference(const char *volume, const Facts *facts, const GError *problem,
			const Sample *sample);

/* Whether the file that the name leads to is the one that is served.  Does not read the file, so it
 * does not wait for a disk that hangs; another volume may have been copied into the file. */
gboolean served_is_in_place(const Config *config, const VolumeName *name, const Sample *sample);

/* Whether the volume stays as it is, and so can be read without a snapshot, which could not be
 * taken: whoever has it open only reads it, or its file system is mounted read-only. */
gboolean served_only_for_reading(const Config *config, const VolumeName *name);

/* FALSE with BUSY if the volume served under the name is another one than the name leads to, or the
 * name leads to nothing.  TRUE if nothing is served. */
gboolean served_check(const Config *config, const VolumeName *name, GError **error);

/* Whether to ask a volume's server once more, when nobody answered and then the volume could not be
 * opened here: a server that is just beginning has the volume before it answers, which takes a
 * moment.  If so, releases the error and sleeps for a tenth of a second; no more than five seconds
 * after `since` (g_get_monotonic_time()). */
gboolean served_just_begins(gint64 since, GError **error);

/* The same as served_check(), with what the server reports already at hand. */
gboolean served_check_sample(const Config *config, const VolumeName *name, const Sample *sample,
			     GError **error);
