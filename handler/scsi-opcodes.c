/* SPDX-License-Identifier: Apache-2.0 */
/*
 * REPORT SUPPORTED OPERATION CODES and REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS.
 */
#include "handler/scsi-private.h"

#define RCTD 0x80
#define ANSWER_MAX 4096
#define TIMEOUTS_LENGTH 12

#define SUPPORTED_NOT 1
#define SUPPORTED 3 /* in conformance with a standard */

#define DESCRIPTOR_ACTION 0x01
#define DESCRIPTOR_TIMEOUTS 0x02
#define ONE_TIMEOUTS 0x80

typedef enum { REPORT_ALL, REPORT_OPCODE, REPORT_ACTION, REPORT_EITHER } Reporting;

static gsize put_timeouts(guint8 *to, const ScsiRow *row)
{
	put_be(to, TIMEOUTS_LENGTH - 2, 2);
	put_be(to + 8, row->timeout, 4); /* recommended; the nominal one is not reported */
	return TIMEOUTS_LENGTH;
}

static gsize put_descriptor(guint8 *to, const ScsiRow *row, gboolean timeouts)
{
	to[0] = row->opcode;
	if (row->action != SCSI_NO_ACTION) {
		put_be(to + 2, (guint16)row->action, 2);
		to[5] |= DESCRIPTOR_ACTION;
	}
	put_be(to + 6, scsi_cdb_length(row->opcode), 2);
	if (!timeouts)
		return 8;
	to[5] |= DESCRIPTOR_TIMEOUTS;
	return 8 + put_timeouts(to + 8, row);
}

/* Target port groups, reservations, SANITIZE and atomic writes are not always supported. */
static gboolean is_supported(const ScsiUnit *unit, const ScsiRow *row, const ScsiIdentity *identity)
{
	if (row->run == scsi_write_atomic)
		return scsi_max_atomic(unit) != 0;
	switch (row->opcode) {
	case 0x16:
	case 0x17:
	case 0x56:
	case 0x57:
	case 0x5e:
	case 0x5f:
		return !identity->no_reservations;
	case 0x48:
		return !unit->shared;
	default:
		return row->run != scsi_report_groups || identity->ports == SCSI_PORTS_ALUA;
	}
}

static RunnerStatus report_all(const ScsiUnit *unit, const ScsiCommand *command,
			       const ScsiIdentity *identity, gboolean timeouts)
{
	guint8 data[ANSWER_MAX] = {0};
	gsize length = 4;

	for (guint i = 0; i < scsi_table_length; i++)
		if (is_supported(unit, &scsi_table[i], identity))
			length += put_descriptor(data + length, &scsi_table[i], timeouts);
	put_be(data, length - 4, 4);
	return scsi_answer(command, data, length, get_be(command->cdb + 6, 4));
}

static RunnerStatus report_one(const ScsiCommand *command, const ScsiRow *row, gboolean timeouts)
{
	guint8 data[4 + SCSI_CDB_MAX + TIMEOUTS_LENGTH] = {0};
	guint64 allocation = get_be(command->cdb + 6, 4);
	gsize length = 4;

	if (!row) {
		data[1] = SUPPORTED_NOT;
		return scsi_answer(command, data, length, allocation);
	}
	data[1] = SUPPORTED;
	put_be(data + 2, scsi_cdb_length(row->opcode), 2);
	memcpy(data + 4, row->usage, scsi_cdb_length(row->opcode));
	if (row->action != SCSI_NO_ACTION)
		data[5] |= (guint8)row->action;
	length += scsi_cdb_length(row->opcode);
	if (timeouts) {
		data[1] |= ONE_TIMEOUTS;
		length += put_timeouts(data + length, row);
	}
	return scsi_answer(command, data, length, allocation);
}

RunnerStatus scsi_report_opcodes(ScsiUnit *unit, const ScsiCommand *command, Request *request)
{
	const guint8 *cdb = command->cdb;
	gboolean timeouts = (cdb[2] & RCTD) != 0, has_actions = scsi_has_actions(cdb[3]);
	guint action = (guint)get_be(cdb + 4, 2);
	const ScsiRow *row = scsi_find(cdb[3], (gint)action);
	ScsiIdentity identity = {.serial = ""};

	(void)request;
	unit->identify(unit->data, &identity);
	if (row && !is_supported(unit, row, &identity))
		row = NULL;
	switch (cdb[2] & 7) {
	case REPORT_ALL:
		return report_all(unit, command, &identity, timeouts);
	case REPORT_OPCODE:
		if (has_actions)
			return sense_set_cdb_field(command->sense, 3);
		break;
	case REPORT_ACTION:
		if (!has_actions)
			return sense_set_cdb_field(command->sense, 3);
		break;
	case REPORT_EITHER:
		if (!has_actions && action)
			row = NULL;
		break;
	default:
		return sense_set_cdb_field(command->sense, 2);
	}
	return report_one(command, row, timeouts);
}

/* The kernel supports ABORT TASK and LOGICAL UNIT RESET. */
RunnerStatus scsi_report_functions(ScsiUnit *unit, const ScsiCommand *command, Request *request)
{
	guint8 data[16] = {0x80 | 0x08};
	gboolean extended = (command->cdb[2] & 0x80) != 0;

	(void)unit;
	(void)request;
	data[3] = extended ? 12 : 0; /* time-outs: none is reported */
	return scsi_answer(command, data, extended ? 16 : 4, get_be(command->cdb + 6, 4));
}
