/* SPDX-License-Identifier: Apache-2.0 */
#include "handler/sense.h"

#include <errno.h>
#include <string.h>

typedef struct {
	guint8 key, asc, ascq;
} SenseCode;

static const SenseCode becoming_ready = {0x2, 0x04, 0x01};
static const SenseCode unrecovered_read_error = {0x3, 0x11, 0x00};
static const SenseCode space_allocation_failed = {0x7, 0x27, 0x07};
static const SenseCode miscompare = {0xe, 0x1d, 0x00};

static void put_be(guint8 *to, guint64 value, int bytes)
{
	for (int i = bytes - 1; i >= 0; i--) {
		to[i] = (guint8)value;
		value >>= 8;
	}
}

/* Fixed format, unless the information does not fit in there: then with descriptors, which
 * initiators of such large disks know.  The runner hands out its sense buffer as malloc() gave it:
 * so all of it is zeroed first. */
static RunnerStatus sense_fill(guint8 *sense, SenseCode code, const guint64 *information)
{
	memset(sense, 0, RUNNER_SENSE_SIZE);
	if (information && *information > G_MAXUINT32) {
		sense[0] = 0x72;
		sense[1] = code.key;
		sense[2] = code.asc;
		sense[3] = code.ascq;
		sense[7] = 12;	  /* bytes that follow: one descriptor */
		sense[8] = 0;	  /* of the kind "information" */
		sense[9] = 10;	  /* bytes of it that follow */
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

RunnerStatus sense_from_result(int result, SenseDirection direction, guint64 information,
			       guint8 *sense)
{
	switch (-result) {
	case 0:
		return RUNNER_OK;
	case EBADMSG:
		return sense_fill(sense, unrecovered_read_error, &information);
	case ENODEV:
		return sense_fill(sense, becoming_ready, NULL);
	case ENOSPC:
		return sense_fill(sense, space_allocation_failed, NULL);
	case EILSEQ:
		return sense_fill(sense, miscompare, &information);
	case EIO:
		return direction == SENSE_READING ? RUNNER_READ_ERROR : RUNNER_WRITE_ERROR;
	case EINVAL:
		return RUNNER_RANGE;
	case ENOMEM:
		return RUNNER_NO_RESOURCE;
	case ETIMEDOUT:
		return RUNNER_TIMEOUT;
	case EAGAIN:
		return RUNNER_BUSY;
	case ESHUTDOWN:
		return RUNNER_HARDWARE_ERROR;
	}
	return RUNNER_HARDWARE_ERROR; /* what the engine does not promise to answer */
}
