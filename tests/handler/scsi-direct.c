/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a unit tells of itself whose volume is a direct one, which another system keeps.
 */
#include "handler/scsi.h"
#include "tests/harness.h"

#define DATA_MAX 4096
#define INVALID_OPCODE 0x2000

typedef struct {
	guint8 data[DATA_MAX], sense[RUNNER_SENSE_SIZE];
	RunnerStatus status;
} ScsiAnswer;

static void identify(gpointer data, ScsiIdentity *ret_identity)
{
	(void)data;
	*ret_identity = (ScsiIdentity){.serial = "01-23"};
}

static void ask(ScsiAnswer *answer, gboolean direct, const guint8 *cdb, gsize length)
{
	ScsiUnit unit = {.blocks = 4096,
			 .block_size = 512,
			 .max_transfer = 2048,
			 .direct = direct,
			 .identify = identify};
	const struct iovec iov = {answer->data, length};
	const ScsiCommand command = {.cdb = cdb, .iov = &iov, .count = 1, .sense = answer->sense};
	Request request = {0};

	memset(answer, 0, sizeof *answer);
	answer->status = scsi_command(&unit, &command, TRUE, &request);
}

static void test_limits(const void *data)
{
	static const struct {
		const char *name;
		gsize at, length;
		guint64 thin, direct;
	} rows[] = {
		{"compare and write", 5, 1, 255, 255}, {"optimal transfer", 12, 4, 2048, 2048},
		{"unmap granularity", 28, 4, 8, 128},  {"atomic length", 44, 4, 2048, 0},
		{"atomic alignment", 48, 4, 8, 0},     {"atomic granularity", 52, 4, 8, 0},
	};
	const guint8 cdb[16] = {0x12, 1, 0xb0, 0, 64};

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
		for (guint direct = 0; direct < 2; direct++) {
			ScsiAnswer answer;
			guint64 found = 0;

			test_row("%s, %s", rows[i].name, direct ? "direct" : "thin");
			ask(&answer, direct != 0, cdb, 64);
			CHECK_INT(answer.status, RUNNER_OK);
			for (gsize k = 0; k < rows[i].length; k++)
				found = found << 8 | answer.data[rows[i].at + k];
			CHECK_UINT(found, direct ? rows[i].direct : rows[i].thin);
		}
}

/* A write across two objects of an image is not atomic. */
static void test_no_atomic_writes(const void *data)
{
	const guint8 write[16] = {0x9c, [13] = 8}, one[16] = {0xa3, 0x0c, 1, 0x9c, [8] = 1};
	ScsiAnswer answer;

	(void)data;
	ask(&answer, FALSE, write, 4096);
	CHECK(answer.status != RUNNER_SENSE_SET);
	ask(&answer, TRUE, write, 4096);
	CHECK_INT(answer.status, RUNNER_SENSE_SET);
	CHECK_INT(answer.sense[12] << 8 | answer.sense[13], INVALID_OPCODE);
	ask(&answer, FALSE, one, 256);
	CHECK_INT(answer.data[1] & 7, 3);
	ask(&answer, TRUE, one, 256);
	CHECK_INT(answer.data[1] & 7, 1); /* not supported */
}

int main(int argc, char **argv)
{
	test_add("its limits are those of what keeps it", test_limits, NULL);
	test_add("it has no atomic writes", test_no_atomic_writes, NULL);
	return test_run(argc, argv);
}
