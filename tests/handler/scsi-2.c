/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CDBs of initiators that take the target for one of SCSI-2, where bits 7 to 5 of byte 1 of every
 * CDB were the LUN.
 */
#include "handler/scsi.h"
#include "tests/harness.h"

#define DATA_MAX 512

typedef struct {
	guint8 data[DATA_MAX], sense[RUNNER_SENSE_SIZE];
	RunnerStatus status;
	Request request;
} ScsiAnswer;

static void identify(gpointer data, ScsiIdentity *ret_identity)
{
	(void)data;
	*ret_identity = (ScsiIdentity){.serial = "01-23"};
}

static void ask(ScsiAnswer *answer, const guint8 *cdb, gsize length)
{
	ScsiUnit unit = {
		.blocks = 4096, .block_size = 512, .max_transfer = 2048, .identify = identify};
	const struct iovec iov = {answer->data, length};
	const ScsiCommand command = {.cdb = cdb, .iov = &iov, .count = 1, .sense = answer->sense};

	memset(answer, 0, sizeof *answer);
	answer->status = scsi_command(&unit, &command, TRUE, &answer->request);
}

static const struct {
	const char *name;
	guint8 cdb[16];
	gsize length;
} old[] = {
	{"TEST UNIT READY", {0x00}, 0},
	{"REQUEST SENSE", {0x03, [4] = 18}, 18},
	{"READ(6)", {0x08, 0, 1, 0, 1}, 512},
	{"WRITE(6)", {0x0a, 0, 1, 0, 1}, 512},
	{"INQUIRY", {0x12, [4] = 96}, 96},
	{"INQUIRY of a page", {0x12, 0x01, 0xb0, [4] = 64}, 64},
	{"MODE SELECT(6)", {0x15, 0x10}, 0},
	{"MODE SENSE(6)", {0x1a, 0x08, 0x08, [4] = 64}, 64},
	{"START STOP UNIT", {0x1b, [4] = 1}, 0},
	{"SEND DIAGNOSTIC", {0x1d, 0x04}, 0},
	{"READ CAPACITY(10)", {0x25}, 8},
	{"PRE-FETCH(10)", {0x34, [8] = 1}, 0},
	{"SYNCHRONIZE CACHE(10)", {0x35}, 0},
	{"READ DEFECT DATA(10)", {0x37, 0, 0x1d, [8] = 4}, 4},
	{"LOG SENSE", {0x4d, 0, 0x40, [8] = 64}, 64},
	{"MODE SELECT(10)", {0x55, 0x10}, 0},
	{"MODE SENSE(10)", {0x5a, 0, 0x08, [8] = 64}, 64},
	{"READ DEFECT DATA(12)", {0xb7, 0x1d, [9] = 8}, 8},
};

static void test_lun(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(old); i++) {
		guint8 cdb[16];
		ScsiAnswer without, with;

		ask(&without, old[i].cdb, old[i].length);
		CHECK(without.status != RUNNER_SENSE_SET);
		memcpy(cdb, old[i].cdb, sizeof cdb);
		for (guint lun = 1; lun < 8; lun++) {
			test_row("%s, LUN %u", old[i].name, lun);
			cdb[1] = (guint8)(old[i].cdb[1] | lun << 5);
			ask(&with, cdb, old[i].length);
			CHECK_INT(with.status, without.status);
			CHECK_INT(with.request.kind, without.request.kind);
			CHECK_UINT(with.request.offset, without.request.offset);
			CHECK_UINT(with.request.length, without.request.length);
			CHECK_MEM(with.data, without.data, sizeof with.data);
		}
	}
}

static void check_refused(const ScsiAnswer *answer, guint16 field)
{
	CHECK_INT(answer->status, RUNNER_SENSE_SET);
	CHECK_UINT(answer->sense[12] << 8 | answer->sense[13], 0x2400);
	CHECK_UINT(answer->sense[16] << 8 | answer->sense[17], field);
}

static void test_reserved(const void *data)
{
	static const guint8 cdb[16] = {0x12, 0x62, [4] = 96};
	ScsiAnswer answer;

	(void)data;
	ask(&answer, cdb, 96);
	check_refused(&answer, 1);
}

/* Protection information, in FORMAT UNIT, too; and other self-tests than the default. */
static const guint8 newer[][16] = {
	{0x04},		 {0x1d},	  {0x28, [8] = 1}, {0x2a, [8] = 1},
	{0x2e, [8] = 1}, {0x2f, [8] = 1}, {0x41, [8] = 1}, {0xa8, [9] = 1},
	{0xaa, [9] = 1}, {0xae, [9] = 1}, {0xaf, [9] = 1},
};

static void test_newer(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(newer); i++) {
		guint8 cdb[16];
		ScsiAnswer answer;

		test_row("opcode %02x", newer[i][0]);
		memcpy(cdb, newer[i], sizeof cdb);
		cdb[1] |= 0x40;
		ask(&answer, cdb, cdb[0] == 0x04 || cdb[0] == 0x1d ? 0 : 512);
		check_refused(&answer, 1);
	}
}

static void test_usage(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(old); i++) {
		const guint8 cdb[16] = {0xa3, 0x0c, 1, old[i].cdb[0], [9] = 64};
		ScsiAnswer answer;

		test_row("%s", old[i].name);
		ask(&answer, cdb, 64);
		CHECK_INT(answer.status, RUNNER_OK);
		CHECK_UINT(answer.data[4], old[i].cdb[0]);
		CHECK_UINT(answer.data[5] & 0xe0, 0);
	}
}

int main(int argc, char **argv)
{
	test_add("the LUN in a CDB changes nothing", test_lun, NULL);
	test_add("what is reserved beside it is refused", test_reserved, NULL);
	test_add("it is no LUN where it means something else by now", test_newer, NULL);
	test_add("and is not among the bits that are told to mean something", test_usage, NULL);
	return test_run(argc, argv);
}
