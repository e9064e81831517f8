/* SPDX-License-Identifier: Apache-2.0 */
#include "handler/sense.h"

#include <errno.h>
#include <string.h>

#include "common/base/bytes.h"

const SenseCode sense_becoming_ready = {0x2, 0x04, 0x01};
const SenseCode sense_intervention_required = {0x2, 0x04, 0x03};
const SenseCode sense_standby = {0x2, 0x04, 0x0b};
const SenseCode sense_sanitize_in_progress = {0x2, 0x04, 0x1b};
const SenseCode sense_sanitize_failed = {0x3, 0x31, 0x03};
const SenseCode sense_parameter_list_length = {0x5, 0x1a, 0x00};
const SenseCode sense_invalid_opcode = {0x5, 0x20, 0x00};
const SenseCode sense_out_of_range = {0x5, 0x21, 0x00};
const SenseCode sense_invalid_cdb = {0x5, 0x24, 0x00};
const SenseCode sense_invalid_parameter_list = {0x5, 0x26, 0x00};
const SenseCode sense_too_many_targets = {0x5, 0x26, 0x06};
const SenseCode sense_unsupported_target = {0x5, 0x26, 0x07};
const SenseCode sense_too_many_segments = {0x5, 0x26, 0x08};
const SenseCode sense_unsupported_segment = {0x5, 0x26, 0x09};
const SenseCode sense_command_sequence = {0x5, 0x2c, 0x00};
const SenseCode sense_saving_not_supported = {0x5, 0x39, 0x00};
const SenseCode sense_capacity_changed = {0x6, 0x2a, 0x09};
const SenseCode sense_soft_threshold = {0x6, 0x38, 0x07};
const SenseCode sense_read_only = {0x7, 0x27, 0x00};
const SenseCode sense_write_protected = {0x7, 0x27, 0x02};
const SenseCode sense_copy_target_unreachable = {0xa, 0x0d, 0x02};
static const SenseCode write_error = {0x3, 0x0c, 0x00};
static const SenseCode unrecovered_read_error = {0x3, 0x11, 0x00};
static const SenseCode internal_target_failure = {0x4, 0x44, 0x00};
static const SenseCode space_allocation_failed = {0x7, 0x27, 0x07};
static const SenseCode miscompare = {0xe, 0x1d, 0x00};

/* Fixed format, or descriptor format if the information does not fit into 32 bits; initiators of
 * such large disks know that.  The runner does not initialise its sense buffer and sends all of it,
 * so it is zeroed first. */
RunnerStatus sense_set(guint8 *sense, SenseCode code, const guint64 *information)
{
	memset(sense, 0, RUNNER_SENSE_SIZE);
	if (information && *information > G_MAXUINT32) {
		sense[0] = 0x72;
		sense[1] = code.key;
		sense[2] = code.asc;
		sense[3] = code.ascq;
		sense[7] = 12;	  /* bytes that follow: one descriptor */
		sense[8] = 0;	  /* descriptor type: information */
		sense[9] = 10;	  /* bytes of the descriptor that follow */
		sense[10] = 0x80; /* valid */
		put_be(sense + 12, *information, 8);
		return RUNNER_SENSE_SET;
	}
	sense[0] = 0x70;
	sense[2] = code.key;
	sense[7] = 10; /* bytes that follow */
	sense[12] = code.asc;
	sense[13] = code.ascq;
	if (information) {
		sense[0] |= 0x80; /* valid */
		put_be(sense + 3, *information, 4);
	}
	return RUNNER_SENSE_SET;
}

RunnerStatus sense_refuse(guint8 *sense, SenseCode code)
{
	return sense_set(sense, code, NULL);
}

#define KEY_SPECIFIC_VALID 0x80
#define FIELD_IN_CDB 0x40

static RunnerStatus set_key_specific(guint8 *sense, SenseCode code, guint8 flags, guint16 value)
{
	sense_set(sense, code, NULL);
	sense[15] = KEY_SPECIFIC_VALID | flags;
	put_be(sense + 16, value, 2);
	return RUNNER_SENSE_SET;
}

RunnerStatus sense_set_cdb_field(guint8 *sense, guint byte)
{
	return set_key_specific(sense, sense_invalid_cdb, FIELD_IN_CDB, (guint16)byte);
}

RunnerStatus sense_set_progress(guint8 *sense, SenseCode code, guint16 progress)
{
	return set_key_specific(sense, code, 0, progress);
}

RunnerStatus sense_from_result(int result, SenseDirection direction, guint64 information,
			       guint8 *sense)
{
	switch (-result) {
	case 0:
		return RUNNER_OK;
	case EBADMSG:
		return sense_set(sense, unrecovered_read_error, &information);
	case ENODEV:
		return sense_set(sense, sense_becoming_ready, NULL);
	case ESTALE:
		return sense_set(sense, sense_standby, NULL);
	case ENOSPC:
		return sense_set(sense, space_allocation_failed, NULL);
	case EILSEQ:
		return sense_set(sense, miscompare, &information);
	case EIO:
		return sense_set(sense,
				 direction == SENSE_READING ? unrecovered_read_error : write_error,
				 NULL);
	case EINVAL:
		return sense_set(sense, sense_out_of_range, NULL);
	case EROFS:
		return sense_set(sense, sense_read_only, NULL);
	case ENOMEM:
		return RUNNER_NO_RESOURCE;
	case ETIMEDOUT:
	case EAGAIN:
		return RUNNER_BUSY;
	}
	/* -ESHUTDOWN, and results that the engine does not promise. */
	return sense_set(sense, internal_target_failure, NULL);
}
