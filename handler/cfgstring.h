/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cfgstring of a device, as targetcli passes it on:
 *
 *     storageos/[POOL/]NAME[@SNAP][;KEY=VALUE]...
 *
 * NAME alone is in the pool `default`; an absolute path is a block device.  With @SNAP, the device
 * is that snapshot of the volume, and can be read only.  Keys:
 *
 *     create    (no value) create the volume with the device's size, if the pool exists and the
 *               volume does not; not of a snapshot
 *     write_cache=off
 *               the volume has no write cache: it is created so, and one that has a cache is not
 *               opened for the device
 *     read_only (no value) the device can only be read, and nothing is written to the volume; not
 *               with create
 *
 * Parsing checks the syntax only: any local user may ask for it over D-Bus, and it runs as root in
 * the runner's main thread, for which everything else of the runner waits.
 */
#pragma once

#include "common/service/pool.h"

#define CFGSTRING_SUBTYPE "storageos"
#define CFGSTRING_MAX 255 /* bytes; the kernel's limit */

typedef struct {
	VolumeName *volume;
	gboolean create;
	gboolean write_through; /* write_cache=off */
	gboolean read_only;
} CfgString;

/* NULL with INVALID for anything but the above, unknown keys included. */
CfgString *cfgstring_parse(const char *text, GError **error);
void cfgstring_free(CfgString *cfgstring);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CfgString, cfgstring_free)
