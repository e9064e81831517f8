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
 *     -ETIMEDOUT  BUSY (it waited for too long and was not begun)
 *     -ENOMEM     TASK SET FULL
 *     -ENODEV     NOT READY, becoming ready (there is no volume yet)
 *     else        HARDWARE ERROR
 */
#pragma once

#include "handler/runner-abi.h"

typedef struct {
	guint8 key, asc, ascq;
} SenseCode;

extern const SenseCode sense_invalid_cdb;	     /* a field of the CDB */
extern const SenseCode sense_invalid_parameter_list; /* a field of the parameter list */
extern const SenseCode sense_parameter_list_length;
extern const SenseCode sense_out_of_range; /* the LBA */

/* Fills `sense` (of RUNNER_SENSE_SIZE bytes), with `information` (or NULL) in the field of that
 * name.  Returns RUNNER_SENSE_SET. */
RunnerStatus sense_set(guint8 *sense, SenseCode code, const guint64 *information);

typedef enum { SENSE_READING, SENSE_WRITING } SenseDirection;

/* Returns the status to complete with; where that is RUNNER_SENSE_SET, `sense` was filled.
 * `information` goes into the field of that name: an LBA for -EBADMSG, a byte offset in the data
 * for -EILSEQ; otherwise it is not looked at. */
RunnerStatus sense_from_result(int result, SenseDirection direction, guint64 information,
			       guint8 *sense);
