/* SPDX-License-Identifier: Apache-2.0 */
#include "handler/sense.h"

#include <errno.h>

#include "tests/harness.h"

typedef struct {
	const char *name;
	int result;
	SenseDirection direction;
	RunnerStatus status;
} StatusRow;

static const StatusRow status_rows[] = {
	{"success", 0, SENSE_READING, RUNNER_OK},
	{"out of memory", -ENOMEM, SENSE_WRITING, RUNNER_NO_RESOURCE},
	{"too late", -ETIMEDOUT, SENSE_WRITING, RUNNER_BUSY},
	{"not now", -EAGAIN, SENSE_WRITING, RUNNER_BUSY},
};

static void test_statuses(const void *data)
{
	guint8 sense[RUNNER_SENSE_SIZE] = {0};

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(status_rows); i++) {
		const StatusRow *row = &status_rows[i];

		test_row("%s", row->name);
		CHECK_INT(sense_from_result(row->result, row->direction, 1, sense), row->status);
		CHECK_ZERO(sense, sizeof sense); /* these need none */
	}
}

typedef struct {
	const char *name;
	int result;
	guint64 information;
	guint8 sense[20]; /* and nothing behind it */
} SenseRow;

static const SenseRow sense_rows[] = {
	{"medium error",
	 -EBADMSG,
	 0x01020304,
	 {0xf0, 0, 0x3, 1, 2, 3, 4, 10, 0, 0, 0, 0, 0x11, 0x00}},
	{"medium error at 0", -EBADMSG, 0, {0xf0, 0, 0x3, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x11, 0x00}},
	{"medium error beyond 32 bits", -EBADMSG, 0x100000002, {0x72, 0x3, 0x11, 0x00, 0, 0, 0,
								12,   0,   10,	 0x80, 0, 0, 0,
								0,    1,   0,	 0,    0, 2}},
	{"no volume yet", -ENODEV, 7, {0x70, 0, 0x2, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x04, 0x01}},
	{"no space", -ENOSPC, 7, {0x70, 0, 0x7, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x27, 0x07}},
	{"a read that failed", -EIO, 7, {0x70, 0, 0x3, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x11, 0x00}},
	{"beyond the end", -EINVAL, 7, {0x70, 0, 0x5, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x21, 0x00}},
	{"FAILED", -ESHUTDOWN, 7, {0x70, 0, 0x4, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x44, 0x00}},
	{"unheard of", -ENOTTY, 7, {0x70, 0, 0x4, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x44, 0x00}},
	{"not an errno", 5, 7, {0x70, 0, 0x4, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x44, 0x00}},
	{"miscompare", -EILSEQ, 511, {0xf0, 0, 0xe, 0, 0, 1, 255, 10, 0, 0, 0, 0, 0x1d, 0x00}},
};

static void test_sense(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(sense_rows); i++) {
		const SenseRow *row = &sense_rows[i];
		guint8 sense[RUNNER_SENSE_SIZE];

		test_row("%s", row->name);
		memset(sense, 0xee, sizeof sense);
		CHECK_INT(sense_from_result(row->result, SENSE_READING, row->information, sense),
			  RUNNER_SENSE_SET);
		CHECK_MEM(sense, row->sense, sizeof row->sense);
		CHECK_ZERO(sense + sizeof row->sense, sizeof sense - sizeof row->sense);
	}
}

static void test_direction(const void *data)
{
	guint8 sense[RUNNER_SENSE_SIZE];

	(void)data;
	CHECK_INT(sense_from_result(-EIO, SENSE_WRITING, 0, sense), RUNNER_SENSE_SET);
	CHECK_UINT(sense[2], 0x3);
	CHECK_UINT(sense[12], 0x0c);
}

int main(int argc, char **argv)
{
	test_add("results become the statuses that the runner knows", test_statuses, NULL);
	test_add("sense data says what and where, and nothing of what was there", test_sense, NULL);
	test_add("a write that failed is a write error", test_direction, NULL);
	return test_run(argc, argv);
}
