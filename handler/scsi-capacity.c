/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The unit's size, and which of its blocks are mapped.  A physical block is a block of the volume,
 * 4 KiB.
 */
#include "common/base/bounds.h"
#include "handler/scsi-private.h"

#include "common/base/units.h"

RunnerStatus scsi_read_capacity_10(ScsiUnit *unit, const ScsiCommand *command, Request *request)
{
	guint8 data[8];

	(void)request;
	put_be(data, min_u64(scsi_unit_blocks(unit) - 1, G_MAXUINT32), 4);
	put_be(data + 4, unit->block_size, 4);
	return scsi_answer(command, data, sizeof data, sizeof data);
}

/* Thin-provisioned; unmapped blocks read as zeros. */
RunnerStatus scsi_read_capacity_16(ScsiUnit *unit, const ScsiCommand *command, Request *request)
{
	guint8 data[32] = {0};

	(void)request;
	put_be(data, scsi_unit_blocks(unit) - 1, 8);
	put_be(data + 8, unit->block_size, 4);
	data[13] = (guint8)g_bit_nth_msf(BLOCK_SIZE / unit->block_size, -1);
	data[14] = 0x80 | 0x40;
	return scsi_answer(command, data, sizeof data, get_be(command->cdb + 10, 4));
}

/* ---- GET LBA STATUS */

#define STATUS_HEADER 8
#define STATUS_DESCRIPTOR 16
#define STATUS_DESCRIPTORS 64u
#define STATUS_DEALLOCATED 1

static void put_status(guint8 *to, const Request *request, guint64 offset, guint64 length,
		       gboolean mapped)
{
	put_be(to, offset / request->block_size, 8);
	put_be(to + 8, MIN(length / request->block_size, G_MAXUINT32), 4);
	to[12] = mapped ? 0 : STATUS_DEALLOCATED;
}

/* Reports as many extents as fit the buffer and are found before the deadline. */
static int lba_status(const Request *request, Volume *volume, gint64 deadline,
		      guint64 *ret_position)
{
	guint8 data[STATUS_HEADER + STATUS_DESCRIPTORS * STATUS_DESCRIPTOR] = {0};
	IovCursor cursor = iov_cursor(request->iov, (int)request->count);
	gsize room = min_u64(iov_length(request->iov, (int)request->count), request->length);
	guint max = (guint)MIN(STATUS_DESCRIPTORS,
			       MAX(room, STATUS_HEADER + STATUS_DESCRIPTOR) / STATUS_DESCRIPTOR);
	guint64 at = request->offset, end = volume_size(volume), length;
	gsize filled = STATUS_HEADER;
	gboolean mapped;

	(void)ret_position;
	for (guint i = 0; i < max && at < end && g_get_monotonic_time() < deadline; i++) {
		int r = volume_extent(volume, at, &mapped, &length);

		if (r)
			return r;
		length = MIN(length, (guint64)G_MAXUINT32 * request->block_size);
		put_status(data + filled, request, at, length, mapped);
		filled += STATUS_DESCRIPTOR;
		at += length;
	}
	put_be(data, filled - 4, 4);
	iov_copy_in(&cursor, data, MIN(filled, room));
	return 0;
}

static const RequestCall lba_status_call = {"get LBA status", METRICS_UNCOUNTED, TRUE, lba_status};

RunnerStatus scsi_lba_status(ScsiUnit *unit, const ScsiCommand *command, Request *request)
{
	guint64 lba = get_be(command->cdb + 2, 8);

	if (lba >= scsi_unit_blocks(unit))
		return sense_refuse(command->sense, sense_out_of_range);
	request->kind = REQUEST_CALL;
	request->call = &lba_status_call;
	request->offset = lba * unit->block_size;
	request->length = get_be(command->cdb + 10, 4);
	return RUNNER_LATER;
}
