/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exporting an image: of a snapshot in one of qemu's formats; and of a volume itself, which may be
 * in use, by way of a snapshot that exists only meanwhile.
 *
 * Threading: single-threaded.
 */
#pragma once

#include "cli/cli.h"
#include "cli/transfer.h"

/* Writes what the open snapshot holds to a new file.  TRUE: it is durable, and if `verify`, reads
 * as it was written.  FALSE: the file is gone again.  UNSUPPORTED: qemu is not installed. */
gboolean image_export(Volume *snapshot, const char *path, const char *format, gboolean verify,
		      TransferProgress *progress, GError **error);

/* CORRUPT unless the raw image reads as the open snapshot does. */
gboolean image_verify(Volume *snapshot, const char *path, TransferProgress *progress,
		      GError **error);

/* Takes a snapshot of the volume, has another `storageos export` export it, with the options of
 * argv, and deletes it.  The signals that would end this process are given on to the other one. */
gboolean export_by_snapshot(const Cli *cli, const VolumeName *name, const char *const argv[],
			    int *ret_status, GError **error);
