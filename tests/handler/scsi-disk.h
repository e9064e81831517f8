/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A unit over a volume in memory, for tests of commands.
 */
#pragma once

#include "common/base/units.h"
#include "handler/scsi-private.h"

#define SCSI_DISK_SIZE (8 * MIB)
#define SCSI_DISK_DATA_MAX (256 * KIB)
#define SCSI_DISK_SERIAL "0123-4567-89ab-cdef"

typedef struct {
	ScsiUnit unit;
	Volume *volume;
	Backing *backing;
	ScsiSpace space; /* what the unit tells */
	gint64 patience; /* in microseconds: how long a request may take */
	guint8 sense[RUNNER_SENSE_SIZE];
	guint8 data[SCSI_DISK_DATA_MAX];
	Request request;
} ScsiDisk;

ScsiDisk *scsi_disk_new(guint32 block_size);
void scsi_disk_free(ScsiDisk *disk);

/* Sends a command with the first `length` bytes of disk->data.  Returns key << 16 | asc << 8 |
 * ascq, or 0; RUNNER_BUSY and such as 1 << 24. */
guint scsi_disk_send(ScsiDisk *disk, const guint8 *cdb, gsize length);
