/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LOG SENSE (supported pages, logical block provisioning, informational exceptions), REQUEST SENSE,
 * and the defect lists, which are empty.
 */
#include "common/base/bounds.h"
#include "handler/scsi-private.h"

#define LOG_SUPPORTED 0x00
#define LOG_PROVISIONING 0x0c
#define LOG_EXCEPTIONS 0x2f

#define PARAMETER_AVAILABLE 1
#define PARAMETER_USED 2
#define PARAMETER_LENGTH 12
#define PARAMETER_FORMAT 0x03 /* binary, not a counter */

static RunnerStatus log_supported_pages(const ScsiCommand *command, guint64 allocation)
{
	static const guint8 data[] = {0, 0, 0, 3, LOG_SUPPORTED, LOG_PROVISIONING, LOG_EXCEPTIONS};

	return scsi_answer(command, data, sizeof data, allocation);
}

/* The exception that lasts, if any: space is short. */
static RunnerStatus log_exceptions(ScsiUnit *unit, const ScsiCommand *command, guint64 allocation)
{
	guint8 data[12] = {LOG_EXCEPTIONS, 0, 0, 8, 0, 0, PARAMETER_FORMAT, 4};

	if (g_atomic_int_get(&unit->threshold) != THRESHOLD_ARMED) {
		data[8] = sense_soft_threshold.asc;
		data[9] = sense_soft_threshold.ascq;
	}
	return scsi_answer(command, data, sizeof data, allocation);
}

static gsize put_resource(guint8 *to, guint16 parameter, guint64 bytes)
{
	put_be(to, parameter, 2);
	to[2] = PARAMETER_FORMAT;
	to[3] = PARAMETER_LENGTH - 4;
	put_be(to + 4, MIN(bytes / SCSI_THRESHOLD_SET, G_MAXUINT32), 4);
	to[8] = parameter == PARAMETER_AVAILABLE ? 2 : 1; /* scope: shared, or the unit's own */
	return PARAMETER_LENGTH;
}

/* request->offset is the first parameter to report. */
static int log_provisioning(const Request *request, Volume *volume, gint64 deadline,
			    guint64 *ret_position)
{
	const ScsiUnit *unit = request->data;
	guint8 data[4 + 2 * PARAMETER_LENGTH] = {LOG_PROVISIONING};
	IovCursor cursor = iov_cursor(request->iov, (int)request->count);
	gsize length = 4;
	ScsiSpace space = {0};

	(void)volume;
	(void)deadline;
	(void)ret_position;
	unit->get_space(unit->data, &space);
	if (request->offset <= PARAMETER_AVAILABLE)
		length += put_resource(data + length, PARAMETER_AVAILABLE, space.available);
	length += put_resource(data + length, PARAMETER_USED, space.used);
	put_be(data + 2, length - 4, 2);
	iov_copy_in(&cursor, data, MIN(length, request->length));
	return 0;
}

static const RequestCall provisioning_call = {"log sense", METRICS_UNCOUNTED, TRUE,
					      log_provisioning};

RunnerStatus scsi_log_sense(ScsiUnit *unit, const ScsiCommand *command, Request *request)
{
	const guint8 *cdb = command->cdb;
	guint64 allocation = get_be(cdb + 7, 2), pointer = get_be(cdb + 5, 2);

	if (cdb[3])
		return sense_set_cdb_field(command->sense, 3);
	switch (cdb[2] & 0x3f) {
	case LOG_SUPPORTED:
		return log_supported_pages(command, allocation);
	case LOG_EXCEPTIONS:
		return pointer ? sense_set_cdb_field(command->sense, 5)
			       : log_exceptions(unit, command, allocation);
	case LOG_PROVISIONING:
		if (pointer > PARAMETER_USED)
			return sense_set_cdb_field(command->sense, 5);
		request->kind = REQUEST_CALL;
		request->call = &provisioning_call;
		request->data = unit;
		request->offset = pointer;
		request->length = min_u64(allocation, scsi_data_length(command));
		return RUNNER_LATER;
	default:
		return sense_set_cdb_field(command->sense, 2);
	}
}

/* ---- REQUEST SENSE */

#define DESCRIPTOR_FORMAT 0x01
#define SENSE_LENGTH 18

RunnerStatus scsi_request_sense(ScsiUnit *unit, const ScsiCommand *command, Request *request)
{
	const SenseCode nothing = {0, 0, 0};
	guint8 data[RUNNER_SENSE_SIZE];

	(void)request;
	if (g_atomic_int_get(&unit->state) == SCSI_SANITIZING)
		sense_set_progress(data, sense_sanitize_in_progress,
				   (guint16)g_atomic_int_get(&unit->progress));
	else if (g_atomic_int_get(&unit->state) == SCSI_SANITIZE_FAILED)
		sense_refuse(data, sense_sanitize_failed);
	else
		sense_refuse(data, nothing);
	if (command->cdb[1] & DESCRIPTOR_FORMAT) {
		const guint8 with_descriptors[8] = {0x72, data[2], data[12], data[13]};

		return scsi_answer(command, with_descriptors, sizeof with_descriptors,
				   command->cdb[4]);
	}
	return scsi_answer(command, data, SENSE_LENGTH, command->cdb[4]);
}

/* ---- READ DEFECT DATA: empty lists of the requested format */

RunnerStatus scsi_defects_10(ScsiUnit *unit, const ScsiCommand *command, Request *request)
{
	const guint8 data[4] = {0, command->cdb[2] & 0x1f};

	(void)unit;
	(void)request;
	return scsi_answer(command, data, sizeof data, get_be(command->cdb + 7, 2));
}

RunnerStatus scsi_defects_12(ScsiUnit *unit, const ScsiCommand *command, Request *request)
{
	const guint8 data[8] = {0, command->cdb[1] & 0x1f};

	(void)unit;
	(void)request;
	return scsi_answer(command, data, sizeof data, get_be(command->cdb + 6, 4));
}
