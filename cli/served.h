/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is served under a volume's name, compared with what the name means now: its file may have
 * been deleted or replaced, or another disk mounted over its pool, while the server has the old one
 * open. Nothing may be done to a volume by its name then but to detach it.
 */
#pragma once

#include "cli/facts.h"
#include "cli/sample.h"

/* How they differ, as a message of its own, or NULL.  `facts`: as facts_read() left them;
 * `problem`: its error, or NULL; `sample`: of what is served, or NULL.  Free the result. */
char *served_difference(const char *volume, const Facts *facts, const GError *problem,
			const Sample *sample);

/* Whether its file is still the one that is served.  Reads nothing, and so does not wait for a disk
 * that does not answer: what is in the file may be another volume. */
gboolean served_is_in_place(const Config *config, const VolumeName *name, const Sample *sample);

/* FALSE with BUSY where something else is served under the name, also where there is no such volume
 * any more.  TRUE where nothing is. */
gboolean served_check(const Config *config, const VolumeName *name, GError **error);

/* The same of what is served, which told this. */
gboolean served_check_sample(const Config *config, const VolumeName *name, const Sample *sample,
			     GError **error);
