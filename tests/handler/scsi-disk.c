/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/handler/scsi-disk.h"

#include <errno.h>

#include "tests/backing/memory.h"
#include "tests/harness.h"

static void identify(gpointer data, ScsiIdentity *ret_identity)
{
	(void)data;
	*ret_identity = (ScsiIdentity){.serial = SCSI_DISK_SERIAL, .ports = SCSI_PORTS_ALUA};
}

static void get_space(gpointer data, ScsiSpace *ret_space)
{
	const ScsiDisk *disk = data;

	*ret_space = disk->space;
}

ScsiDisk *scsi_disk_new(guint32 block_size)
{
	const VolumeParameters parameters = {.size = SCSI_DISK_SIZE,
					     .logical_block_size = block_size};
	ScsiDisk *disk = g_new0(ScsiDisk, 1);

	disk->backing = backing_memory_new(0);
	disk->unit = (ScsiUnit){.blocks = SCSI_DISK_SIZE / block_size,
				.block_size = block_size,
				.max_transfer = (guint32)(MIB / block_size),
				.identify = identify,
				.get_space = get_space,
				.data = disk};
	disk->patience = 60 * G_USEC_PER_SEC;
	if (!CHECK(volume_format(disk->backing, &parameters, NULL)))
		return disk;
	disk->volume = volume_open(disk->backing, "test", 0, NULL);
	CHECK(disk->volume != NULL);
	return disk;
}

void scsi_disk_free(ScsiDisk *disk)
{
	volume_close(disk->volume, NULL);
	g_free(disk);
}

guint scsi_disk_send(ScsiDisk *disk, const guint8 *cdb, gsize length)
{
	const struct iovec iov = {disk->data, length};
	const ScsiCommand command = {.cdb = cdb, .iov = &iov, .count = 1, .sense = disk->sense};
	RunnerStatus status = scsi_command(&disk->unit, &command, TRUE, &disk->request);
	const guint8 *s = disk->sense;
	guint64 position = 0;

	if (status == RUNNER_LATER) {
		gint64 deadline = g_get_monotonic_time() + disk->patience;
		int r = request_execute(&disk->request, disk->volume, deadline, &position);
		guint64 information =
			r == -EILSEQ ? position - disk->request.offset : position / 512;

		status = sense_from_result(r, SENSE_WRITING, information, disk->sense);
	}
	if (status == RUNNER_OK)
		return 0;
	if (status != RUNNER_SENSE_SET)
		return (guint)status << 24;
	return (guint)(s[2] & 0xf) << 16 | (guint)s[12] << 8 | s[13];
}
