/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the engine answered (0 or a negative errno, volume.h), as the initiator hears it:
 *
 *     -EBADMSG    MEDIUM ERROR, unrecovered read error, with the first bad LBA
 *     -EIO        MEDIUM ERROR, unrecovered read error or write error
 *     -ENOSPC     DATA PROTECT, space allocation failed write protect
 *     -EILSEQ     MISCOMPARE, with the offset of the first byte that differs
 *     -ESHUTDOWN  HARDWARE ERROR, internal target failure
 *     -EINVAL     ILLEGAL REQUEST, logical block address out of range
 *     -ETIMEDOUT  BUSY (it waited for too long; it may be done again, whatever was done of it)
 *     -ENOMEM     TASK SET FULL
 *     -ENODEV     NOT READY, becoming ready (there is no volume yet)
 *     else        HARDWARE ERROR
 */
#pragma once

#include "handler/runner-abi.h"

typedef struct {
	guint8 key, asc, ascq;
} SenseCode;

extern const SenseCode sense_becoming_ready;
extern const SenseCode sense_intervention_required;
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
extern const SenseCode sense_saving_not_supported;
extern const SenseCode sense_capacity_changed;
extern const SenseCode sense_soft_threshold;  /* of space */
extern const SenseCode sense_write_protected; /* by software */
extern const SenseCode sense_copy_target_unreachable;

/* Fills `sense` (of RUNNER_SENSE_SIZE bytes), with `information` (or NULL) in the field of that
 * name.  Returns RUNNER_SENSE_SET. */
RunnerStatus sense_set(guint8 *sense, SenseCode code, const guint64 *information);

/* The same without information; with the byte of the CDB that is wrong; with how far on something
 * is, in 65536ths. */
RunnerStatus sense_refuse(guint8 *sense, SenseCode code);
RunnerStatus sense_set_cdb_field(guint8 *sense, guint byte);
RunnerStatus sense_set_progress(guint8 *sense, SenseCode code, guint16 progress);

typedef enum { SENSE_READING, SENSE_WRITING } SenseDirection;

/* Returns the status to complete with; where that is RUNNER_SENSE_SET, `sense` was filled.
 * `information` goes into the field of that name: an LBA for -EBADMSG, a byte offset in the data
 * for -EILSEQ; otherwise it is not looked at. */
RunnerStatus sense_from_result(int result, SenseDirection direction, guint64 information,
			       guint8 *sense);
