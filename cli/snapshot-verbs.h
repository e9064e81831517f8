/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the verbs below `storageos snapshot` share.
 */
#pragma once

#include "cli/cli.h"
#include "cli/snapshot-volume.h"

extern const Verb snapshot_create, snapshot_list, snapshot_delete, snapshot_rename, snapshot_hold,
	snapshot_release, snapshot_run;

/* Parses VOLUME@NAME.  NULL: the error has been printed. */
VolumeName *snapshot_name_parse(const Verb *verb, const char *text);

/* Opens the volume, calls `change`, closes the volume, and prints a failure.  Returns the exit
 * status. */
typedef gboolean (*SnapshotChange)(SnapshotVolume *volume, gpointer data, GError **error);
int snapshot_change(const Cli *cli, const Verb *verb, const VolumeName *name, SnapshotChange change,
		    gpointer data);
