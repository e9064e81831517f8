/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changing the properties that a volume keeps (common/service/property-command.h): by the volume's
 * server, or here, if nobody serves the volume.
 */
#pragma once

#include "cli/cli.h"
#include "common/service/property-rules.h"

/* Parses assignments "KEY=VALUE" (common/service/property-rules.h): an array of Property, of which
 * no two have the same key.  NULL: INVALID.  Free with g_array_unref(). */
GArray *set_stored_parse(char *const *assignments, GError **error);

/* UNSUPPORTED, with the reason, if a volume of that kind cannot be changed so. */
gboolean set_stored_check(const Config *config, const VolumeName *name, const GArray *changes,
			  GError **error);

/* Shows how far the space of a reserve is, a VolumeReserveWatch.progress; `data`: what is done,
 * "create default/db".  FALSE with BUSY if a signal has arrived (interrupt.h). */
gboolean set_stored_show_reserve(guint64 done, guint64 all, gpointer data, GError **error);

/* Makes all changes durable, or none, and reports them; with `dry` only reports them.  Waits for
 * the space of a reserve as long as that takes, with signals held back (interrupt.h): one of them
 * ends it, and what was allocated goes back. */
gboolean set_stored(const Cli *cli, const VolumeName *name, const GArray *changes, gboolean dry,
		    GError **error);
