/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sense data, and the translation of the engine's results (0 or a negative errno, volume.h) to what
 * the initiator gets:
 *
 *     -EBADMSG    MEDIUM ERROR, unrecovered read error, with the first bad LBA
 *     -EIO        MEDIUM ERROR, unrecovered read error or write error
 *     -ENOSPC     DATA PROTECT, space allocation failed write protect
 *     -EILSEQ     MISCOMPARE, with the offset of the first byte that differs
 *     -ESHUTDOWN  HARDWARE ERROR, internal target failure
 *     -EINVAL     ILLEGAL REQUEST, logical block address out of range
 *     -ETIMEDOUT  BUSY (it waited too long; it may be repeated, even if part of it was done)
 *     -EAGAIN     BUSY
 *     -ENOMEM     TASK SET FULL
 *     -ENODEV     NOT READY, becoming ready (the volume is not open yet)
 *     -ESTALE     NOT READY, target port in standby state (another gateway has the volume)
 *     other       HARDWARE ERROR, internal target failure
 */
#pragma once

#include "handler/runner-abi.h"

typedef struct {
	guint8 key, asc, ascq;
} SenseCode;

extern const SenseCode sense_becoming_ready;
extern const SenseCode sense_intervention_required;
extern const SenseCode sense_standby;
extern const SenseCode sense_sanitize_in_progress;
extern const SenseCode sense_sanitize_failed;
extern const SenseCode sense_parameter_list_length;
extern const SenseCode sense_invalid_opcode;
extern const SenseCode sense_out_of_range;	     /* the LBA */
extern const SenseCode sense_invalid_cdb;	     /* a field of the CDB */
extern const SenseCode sense_invalid_parameter_list; /* a field of the parameter list */
extern const SenseCode sense_too_many_targets;
extern const SenseCode sense_unsupported_target;
extern const SenseCode sense_too_many_segments;
extern const SenseCode sense_unsupported_segment;
extern const SenseCode sense_command_sequence;
extern const SenseCode sense_saving_not_supported;
extern const SenseCode sense_capacity_changed;
extern const SenseCode sense_soft_threshold; /* of space */
extern const SenseCode sense_read_only;
extern const SenseCode sense_write_protected; /* by software */
extern const SenseCode sense_copy_target_unreachable;

/* Fills `sense` (RUNNER_SENSE_SIZE bytes), with *information in the field of that name, unless it
 * is NULL.  Returns RUNNER_SENSE_SET. */
RunnerStatus sense_set(guint8 *sense, SenseCode code, const guint64 *information);

/* The same without information; for an invalid CDB, with the number of the wrong byte; with a
 * progress in 65536ths. */
RunnerStatus sense_refuse(guint8 *sense, SenseCode code);
RunnerStatus sense_set_cdb_field(guint8 *sense, guint byte);
RunnerStatus sense_set_progress(guint8 *sense, SenseCode code, guint16 progress);

typedef enum { SENSE_READING, SENSE_WRITING } SenseDirection;

/* The status to complete a command with; `sense` is filled if that is RUNNER_SENSE_SET.
 * `information` goes into the field of that name: the LBA for -EBADMSG, the byte offset in the data
 * for -EILSEQ.  It is ignored for other results. */
RunnerStatus sense_from_result(int result, SenseDirection direction, guint64 information,
			       guint8 *sense);
