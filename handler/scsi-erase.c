/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UNMAP, FORMAT UNIT and SANITIZE.
 *
 * UNMAP checks its whole list before it discards anything; where a range begins or ends inside a
 * block of the volume, that part is zeroed.  FORMAT UNIT discards everything, which takes no time.
 * SANITIZE starts here; from then on every other command is refused, and the device carries it out
 * (sanitizer.h).  A cryptographic erase is a block erase: there is no key to destroy, and what the
 * initiator wants is that the data be gone.
 */
#include "common/base/bounds.h"
#include "handler/scsi-private.h"

#include <errno.h>

#define UNMAP_HEADER 8
#define UNMAP_DESCRIPTOR 16
#define ANCHOR 0x01

typedef struct {
	guint64 lba, count;
} UnmapRange;

static UnmapRange unmap_range_next(IovCursor *list)
{
	guint8 data[UNMAP_DESCRIPTOR];

	iov_copy_out(list, data, sizeof data);
	return (UnmapRange){get_be(data, 8), get_be(data + 8, 4)};
}

static int unmap_range_discard(const Request *request, Volume *volume, UnmapRange range)
{
	return volume_discard(volume, range.lba * request->block_size,
			      range.count * request->block_size);
}

/* request->length is the descriptors' length.  Descriptors of adjacent ranges are joined. */
static int unmap_run(const Request *request, Volume *volume, gint64 deadline, guint64 *ret_position)
{
	IovCursor list = iov_cursor(request->iov, (int)request->count);
	UnmapRange all = {0, 0};
	int r = 0;

	(void)ret_position;
	iov_advance(&list, UNMAP_HEADER);
	for (guint64 left = request->length; left && !r; left -= UNMAP_DESCRIPTOR) {
		UnmapRange range = unmap_range_next(&list);

		if (range.lba == all.lba + all.count) {
			all.count += range.count;
			continue;
		}
		if (g_get_monotonic_time() > deadline)
			return -ETIMEDOUT;
		r = unmap_range_discard(request, volume, all);
		all = range;
	}
	return r ? r : unmap_range_discard(request, volume, all);
}

static const RequestCall unmap_call = {"unmap", METRICS_DISCARD, FALSE, unmap_run};

static RunnerStatus unmap_check_ranges(const ScsiUnit *unit, const ScsiCommand *command,
				       gsize length, guint64 *ret_blocks)
{
	IovCursor list = iov_cursor(command->iov, (int)command->count);

	*ret_blocks = 0;
	iov_advance(&list, UNMAP_HEADER);
	for (; length; length -= UNMAP_DESCRIPTOR) {
		UnmapRange range = unmap_range_next(&list);

		if (range.lba > scsi_unit_blocks(unit) ||
		    range.count > scsi_unit_blocks(unit) - range.lba)
			return sense_refuse(command->sense, sense_out_of_range);
		*ret_blocks += range.count;
	}
	return RUNNER_OK;
}

RunnerStatus scsi_unmap(ScsiUnit *unit, const ScsiCommand *command, Request *request)
{
	gsize list = (gsize)get_be(command->cdb + 7, 2), length;
	guint8 header[UNMAP_HEADER];
	RunnerStatus status;
	guint64 blocks;

	if (command->cdb[1] & ANCHOR)
		return sense_set_cdb_field(command->sense, 1);
	if (!list)
		return RUNNER_OK;
	if (list < sizeof header || scsi_data_length(command) != list ||
	    !scsi_take(command, header, sizeof header))
		return sense_refuse(command->sense, sense_parameter_list_length);
	/* A descriptor that is cut off at the end is ignored (SBC). */
	length = min_u64((gsize)get_be(header + 2, 2), list - sizeof header);
	length -= length % UNMAP_DESCRIPTOR;
	if (length / UNMAP_DESCRIPTOR > SCSI_MAX_UNMAP_DESCRIPTORS)
		return sense_refuse(command->sense, sense_invalid_parameter_list);
	status = unmap_check_ranges(unit, command, length, &blocks);
	if (status)
		return status;
	request->kind = length ? REQUEST_CALL : REQUEST_NOTHING;
	request->call = &unmap_call;
	request->bytes = blocks * unit->block_size;
	request->length = length;
	return RUNNER_LATER;
}

/* ---- FORMAT UNIT */

#define PROTECTION 0xc0
#define LONG_LIST 0x20
#define FORMAT_DATA 0x10
#define DEFECT_FORMAT 0x07
#define INITIALIZATION_PATTERN 0x08

/* Accepts a header alone: there are no defects, no protection information and no pattern but zeros.
 * IMMED is ignored. */
RunnerStatus scsi_format(ScsiUnit *unit, const ScsiCommand *command, Request *request)
{
	guint8 flags = command->cdb[1], header[8] = {0};
	gsize length = flags & LONG_LIST ? 8 : 4;

	if (flags & (PROTECTION | DEFECT_FORMAT))
		return sense_set_cdb_field(command->sense, 1);
	if (flags & FORMAT_DATA) {
		if (scsi_data_length(command) < length || !scsi_take(command, header, length))
			return sense_refuse(command->sense, sense_parameter_list_length);
		if (header[0] || header[1] & INITIALIZATION_PATTERN ||
		    get_be(header + length - (length == 8 ? 4 : 2), length == 8 ? 4 : 2))
			return sense_refuse(command->sense, sense_invalid_parameter_list);
	}
	request->kind = REQUEST_ZERO;
	request->length = scsi_unit_blocks(unit) * unit->block_size;
	return RUNNER_LATER;
}

/* ---- SANITIZE */

#define IMMEDIATE 0x80
#define UNRESTRICTED 0x20
#define INVERT 0x80
#define ACTION_OVERWRITE 1

gboolean scsi_sanitize_parse(const ScsiCommand *command, guint32 block_size, Sanitize *ret_sanitize)
{
	const guint8 *cdb = command->cdb;
	gsize list = (gsize)get_be(cdb + 7, 2), length;
	IovCursor cursor = iov_cursor(command->iov, (int)command->count);
	guint8 header[4];

	memset(ret_sanitize, 0, sizeof *ret_sanitize);
	ret_sanitize->immediate = (cdb[1] & IMMEDIATE) != 0;
	ret_sanitize->unrestricted = (cdb[1] & UNRESTRICTED) != 0;
	if ((cdb[1] & 0x1f) != ACTION_OVERWRITE)
		return !list && !scsi_data_length(command);
	if (list <= sizeof header || list > sizeof header + block_size ||
	    scsi_data_length(command) != list)
		return FALSE;
	iov_copy_out(&cursor, header, sizeof header);
	length = (gsize)get_be(header + 2, 2);
	ret_sanitize->kind = SANITIZE_OVERWRITE;
	ret_sanitize->passes = header[0] & 0x1f;
	ret_sanitize->invert = (header[0] & INVERT) != 0;
	if (!ret_sanitize->passes || !length || length != list - sizeof header)
		return FALSE;
	iov_copy_out(&cursor, ret_sanitize->pattern, length);
	for (gsize i = length; i < block_size; i++)
		ret_sanitize->pattern[i] = ret_sanitize->pattern[i - length];
	for (gsize i = block_size; i < SANITIZE_PATTERN_MAX; i++)
		ret_sanitize->pattern[i] = ret_sanitize->pattern[i - block_size];
	return TRUE;
}

/* Queues the SANITIZE; device.c sets the state that refuses other commands. */
RunnerStatus scsi_sanitize(ScsiUnit *unit, const ScsiCommand *command, Request *request)
{
	Sanitize sanitize;

	if (unit->shared)
		return sense_refuse(command->sense, sense_invalid_opcode);
	if (!scsi_sanitize_parse(command, unit->block_size, &sanitize))
		return sense_set_cdb_field(command->sense, 7);
	if (g_atomic_int_get(&unit->state) == SCSI_SANITIZE_FAILED && sanitize.unrestricted &&
	    g_atomic_int_get(&unit->exit_restricted))
		return sense_set_cdb_field(command->sense, 1);
	request->kind = REQUEST_SANITIZE;
	return RUNNER_LATER;
}

RunnerStatus scsi_sanitize_exit(ScsiUnit *unit, const ScsiCommand *command, Request *request)
{
	(void)request;
	if (unit->shared)
		return sense_refuse(command->sense, sense_invalid_opcode);
	if (get_be(command->cdb + 7, 2) || scsi_data_length(command))
		return sense_set_cdb_field(command->sense, 7);
	if (g_atomic_int_get(&unit->state) != SCSI_SANITIZE_FAILED)
		return RUNNER_OK;
	if (g_atomic_int_get(&unit->exit_restricted))
		return sense_set_cdb_field(command->sense, 1);
	g_atomic_int_set(&unit->state, SCSI_NORMAL);
	return RUNNER_OK;
}
