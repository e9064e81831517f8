/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dispatch of a command, up to the function that carries it out.  The order of the checks is
 * that of SAM and SPC: opcode, CDB fields, unit attentions and the unit's state, then whatever the
 * command itself checks.
 */
#include "common/base/bounds.h"
#include "handler/scsi-private.h"

#include "common/base/units.h"

/* The threshold of free space: 16 GiB, or a sixteenth of the file system if that is less. */
#define THRESHOLD_MAX ((guint64)16 << 30)
#define THRESHOLD_SHARE 16

#define WRITE_SAME_BYTES (64u << 20)

#define CONTROL_VENDOR 0xc0

guint scsi_cdb_length(guint8 opcode)
{
	static const guint8 lengths[8] = {6, 10, 10, 0, 16, 12, 0, 0};

	return lengths[opcode >> 5];
}

/* The first row of an opcode, by binary search, since every read and write gets here. */
static const ScsiRow *table_first_row(guint8 opcode)
{
	guint low = 0, high = scsi_table_length;

	while (low < high) {
		guint middle = (low + high) / 2;

		if (scsi_table[middle].opcode < opcode)
			low = middle + 1;
		else
			high = middle;
	}
	return low < scsi_table_length && scsi_table[low].opcode == opcode ? &scsi_table[low]
									   : NULL;
}

const ScsiRow *scsi_find(guint8 opcode, gint action)
{
	const ScsiRow *row = table_first_row(opcode);

	for (; row && row < scsi_table + scsi_table_length && row->opcode == opcode; row++)
		if (row->action == SCSI_NO_ACTION || row->action == action)
			return row;
	return NULL;
}

gboolean scsi_has_actions(guint8 opcode)
{
	const ScsiRow *row = table_first_row(opcode);

	return row && row->action != SCSI_NO_ACTION;
}

gsize scsi_data_length(const ScsiCommand *command)
{
	return iov_length(command->iov, (int)command->count);
}

RunnerStatus scsi_answer(const ScsiCommand *command, const void *answer, gsize length,
			 guint64 allocation)
{
	IovCursor cursor = iov_cursor(command->iov, (int)command->count);
	gsize room = min_u64(scsi_data_length(command), allocation);

	iov_copy_in(&cursor, answer, MIN(length, room));
	return RUNNER_OK;
}

gboolean scsi_take(const ScsiCommand *command, void *to, gsize length)
{
	IovCursor cursor = iov_cursor(command->iov, (int)command->count);

	if (scsi_data_length(command) < length)
		return FALSE;
	iov_copy_out(&cursor, to, length);
	return TRUE;
}

RunnerStatus scsi_leave(ScsiUnit *unit, const ScsiCommand *command, Request *request)
{
	(void)unit;
	(void)command;
	(void)request;
	return RUNNER_NOT_HANDLED;
}

RunnerStatus scsi_nothing(ScsiUnit *unit, const ScsiCommand *command, Request *request)
{
	(void)unit;
	(void)command;
	(void)request;
	return RUNNER_OK;
}

#define SELF_TEST 0x04
#define SELF_TEST_CODE 0xe0

/* Only the default self-test is supported.  With SELFTEST, bits 7 to 5 of byte 1 are ignored, as an
 * initiator of SCSI-2 may have put the LUN there; without, they ask for another self-test, whose
 * results could not be reported. */
RunnerStatus scsi_send_diagnostic(ScsiUnit *unit, const ScsiCommand *command, Request *request)
{
	guint8 flags = command->cdb[1];

	(void)unit;
	(void)request;
	if (flags & SELF_TEST_CODE && !(flags & SELF_TEST))
		return sense_set_cdb_field(command->sense, 1);
	return RUNNER_OK;
}

#define START 0x01
#define LOAD_EJECT 0x02

/* The unit is always started, and its medium cannot be removed. */
RunnerStatus scsi_start_stop(ScsiUnit *unit, const ScsiCommand *command, Request *request)
{
	guint8 flags = command->cdb[4];

	(void)unit;
	(void)request;
	if (flags & 0xf0 || flags & LOAD_EJECT || !(flags & START))
		return sense_set_cdb_field(command->sense, 4);
	return RUNNER_OK;
}

/* ---- limits */

guint32 scsi_max_atomic(const ScsiUnit *unit)
{
	const VolumeLimits *limits = volume_kind_limits(unit->direct);

	return MIN(limits->atomic_max / unit->block_size, unit->max_transfer);
}

guint32 scsi_unmap_granularity(const ScsiUnit *unit)
{
	return volume_kind_limits(unit->direct)->discard_granularity / unit->block_size;
}

guint32 scsi_best_transfer(const ScsiUnit *unit)
{
	return MIN(VOLUME_ATOMIC_MAX / unit->block_size, unit->max_transfer);
}

guint32 scsi_atomic_unit(const ScsiUnit *unit)
{
	return scsi_max_atomic(unit) ? BLOCK_SIZE / unit->block_size : 0;
}

/* The CDB's field has eight bits. */
guint32 scsi_max_compare(const ScsiUnit *unit)
{
	return (guint32)min_u64(scsi_best_transfer(unit), G_MAXUINT8);
}

/* Any pattern of this length is written long before the command's deadline. */
guint32 scsi_max_write_same(const ScsiUnit *unit)
{
	return WRITE_SAME_BYTES / unit->block_size;
}

guint8 scsi_threshold_exponent(const ScsiUnit *unit)
{
	return (guint8)g_bit_nth_msf((gulong)(SCSI_THRESHOLD_SET / unit->block_size), -1);
}

/* ---- thresholds and attentions */

guint64 scsi_unit_threshold(const ScsiUnit *unit, const ScsiSpace *space)
{
	(void)unit;
	return MIN((space->available + space->used) / THRESHOLD_SHARE, THRESHOLD_MAX);
}

void scsi_unit_note_space(ScsiUnit *unit, const ScsiSpace *space)
{
	guint64 threshold = scsi_unit_threshold(unit, space);
	gboolean low = space->available <= threshold;

	g_atomic_int_set(&unit->threshold_count, (gint)(threshold / SCSI_THRESHOLD_SET));
	if (!low)
		g_atomic_int_set(&unit->threshold, THRESHOLD_ARMED);
	else
		g_atomic_int_compare_and_exchange(&unit->threshold, THRESHOLD_ARMED,
						  THRESHOLD_REACHED);
}

void scsi_unit_resize(ScsiUnit *unit, guint64 blocks, gboolean tell)
{
	__atomic_store_n(&unit->blocks, blocks, __ATOMIC_RELAXED);
	if (tell)
		g_atomic_int_set(&unit->size_changed, TRUE);
}

static gboolean event_take(gint *what, gint from, gint to)
{
	return g_atomic_int_get(what) == from && g_atomic_int_compare_and_exchange(what, from, to);
}

/* The unit attention to report now; NULL if there is none. */
static const SenseCode *attention_take(ScsiUnit *unit)
{
	if (event_take(&unit->size_changed, TRUE, FALSE))
		return &sense_capacity_changed;
	return event_take(&unit->threshold, THRESHOLD_REACHED, THRESHOLD_TOLD)
		       ? &sense_soft_threshold
		       : NULL;
}

/* ---- dispatch */

static gint cdb_action(const guint8 *cdb)
{
	/* Commands with service actions have them in these five bits. */
	return cdb[1] & 0x1f;
}

#define LUN_BITS 0xe0

/* The first byte of the CDB with a bit set that has no meaning; 0 if there is none. */
static guint cdb_reserved_byte(const ScsiRow *row, const guint8 *cdb)
{
	guint length = scsi_cdb_length(row->opcode);

	for (guint i = 1; i < length - 1; i++) {
		guint8 known = row->usage[i];

		if (i == 1 && row->action != SCSI_NO_ACTION)
			known |= 0x1f;
		if (i == 1 && row->flags & SCSI_LUN)
			known |= LUN_BITS;
		if (cdb[i] & (guint8)~known)
			return i;
	}
	return cdb[length - 1] & (guint8)~CONTROL_VENDOR ? length - 1 : 0;
}

static RunnerStatus unit_check_state(ScsiUnit *unit, const ScsiRow *row, const ScsiCommand *command,
				     gboolean ready)
{
	switch (g_atomic_int_get(&unit->state)) {
	case SCSI_SANITIZING:
		return sense_set_progress(command->sense, sense_sanitize_in_progress,
					  (guint16)g_atomic_int_get(&unit->progress));
	case SCSI_SANITIZE_FAILED:
		if (row->opcode != 0x48)
			return sense_refuse(command->sense, sense_sanitize_failed);
		break;
	case SCSI_LOST:
		return sense_refuse(command->sense, sense_intervention_required);
	default:
		break;
	}
	if (g_atomic_int_get(&unit->fenced))
		return sense_refuse(command->sense, sense_standby);
	if (!ready)
		return sense_refuse(command->sense, sense_becoming_ready);
	if (g_atomic_int_get(&unit->unfit))
		return sense_refuse(command->sense, sense_intervention_required);
	if (row->flags & SCSI_WRITES && unit->read_only)
		return sense_refuse(command->sense, sense_read_only);
	if (row->flags & SCSI_WRITES && g_atomic_int_get(&unit->write_protected))
		return sense_refuse(command->sense, sense_write_protected);
	return RUNNER_OK;
}

RunnerStatus scsi_command(ScsiUnit *unit, const ScsiCommand *command, gboolean ready,
			  Request *ret_request)
{
	const guint8 *cdb = command->cdb;
	const ScsiRow *row = scsi_find(cdb[0], cdb_action(cdb));
	const SenseCode *attention;
	RunnerStatus status = RUNNER_OK;
	guint bad;

	if (!row)
		return scsi_has_actions(cdb[0])
			       ? sense_set_cdb_field(command->sense, 1)
			       : sense_refuse(command->sense, sense_invalid_opcode);
	if (row->flags & SCSI_DATA_IN) {
		IovCursor cursor = iov_cursor(command->iov, (int)command->count);

		iov_zero(&cursor, scsi_data_length(command));
	}
	bad = cdb_reserved_byte(row, cdb);
	if (bad)
		return sense_set_cdb_field(command->sense, bad);
	if (!(row->flags & SCSI_ALWAYS)) {
		attention = attention_take(unit);
		if (attention)
			return sense_refuse(command->sense, *attention);
		status = unit_check_state(unit, row, command, ready);
	}
	if (status)
		return status;
	memset(ret_request, 0, sizeof *ret_request);
	ret_request->iov = command->iov;
	ret_request->count = command->count;
	ret_request->block_size = unit->block_size;
	return row->run(unit, command, ret_request);
}
