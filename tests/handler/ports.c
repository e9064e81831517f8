/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Target port groups: INQUIRY reports what the runner will answer, and the runner is not asked
 * where that would harm the device.
 */
#include "common/base/bytes.h"
#include "handler/scsi.h"
#include "tests/harness.h"

#define SERIAL "0123-4567-89ab-cdef"
#define DATA_MAX 4096

static ScsiPorts ports;
static gboolean no_reservations;

static void identify(gpointer data, ScsiIdentity *ret_identity)
{
	(void)data;
	*ret_identity = (ScsiIdentity){
		.serial = SERIAL, .ports = ports, .no_reservations = no_reservations};
}

static guint8 answer[DATA_MAX], sense[RUNNER_SENSE_SIZE];

static RunnerStatus ask(const guint8 *cdb)
{
	ScsiUnit unit = {
		.blocks = 4096, .block_size = 512, .max_transfer = 2048, .identify = identify};
	const struct iovec iov = {answer, sizeof answer};
	const ScsiCommand command = {.cdb = cdb, .iov = &iov, .count = 1, .sense = sense};
	Request request;

	return scsi_command(&unit, &command, TRUE, &request);
}

static const guint8 inquiry[16] = {0x12, [4] = 96};
static const guint8 designators[16] = {0x12, 1, 0x83, [4] = 255};
static const guint8 report_groups[16] = {0xa3, 0x0a, [8] = 16};
static const guint8 set_groups[16] = {0xa4, 0x0a, [8] = 16};
static const guint8 one[16] = {0xa3, 0x0c, 2, 0xa3, 0, 0x0a, [9] = 64};
static const guint8 all[16] = {0xa3, 0x0c, 0, [8] = 0x10};

static gboolean list_has(guint8 opcode, guint8 action)
{
	CHECK_INT(ask(all), RUNNER_OK);
	for (guint at = 4; at < 4 + get_be(answer, 4); at += 8)
		if (answer[at] == opcode && answer[at + 3] == action)
			return TRUE;
	return FALSE;
}

static const struct {
	const char *name;
	ScsiPorts ports;
	RunnerStatus designators, report_groups;
	guint8 tpgs;
} rows[] = {
	{"none", SCSI_PORTS_NONE, RUNNER_NOT_HANDLED, RUNNER_SENSE_SET, 0},
	{"some", SCSI_PORTS_ALUA, RUNNER_NOT_HANDLED, RUNNER_NOT_HANDLED, 1},
	{"some that are not supported", SCSI_PORTS_UNSUPPORTED, RUNNER_OK, RUNNER_SENSE_SET, 0},
};

static void test_told(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		gboolean answered = rows[i].report_groups == RUNNER_NOT_HANDLED;

		test_row("%s", rows[i].name);
		ports = rows[i].ports;
		CHECK_INT(ask(inquiry), RUNNER_OK);
		CHECK_UINT(answer[5] >> 4 & 3, rows[i].tpgs);
		CHECK_INT(ask(designators), rows[i].designators);
		CHECK_INT(ask(report_groups), rows[i].report_groups);
		CHECK_INT(ask(set_groups), RUNNER_SENSE_SET);
		CHECK_INT(ask(one), RUNNER_OK);
		CHECK_UINT(answer[1], answered ? 3 : 1);
		CHECK_INT(list_has(0xa3, 0x0a), answered);
		CHECK(list_has(0xa3, 0x0c));
		CHECK(!list_has(0xa4, 0x0a));
	}
}

/* As the runner names the unit. */
static void test_designators(const void *data)
{
	static const guint8 vendor[] = {2, 1, 0, 28};
	static const guint8 naa[] = {1,	   3,	 0,    16,   0x60, 0x01, 0x40, 0x50, 0x12, 0x34,
				     0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0, 0,    0,    0,	   0};

	(void)data;
	ports = SCSI_PORTS_UNSUPPORTED;
	CHECK_INT(ask(designators), RUNNER_OK);
	CHECK_UINT(get_be(answer, 4), 0x00830000 + 4 + 28 + sizeof naa);
	CHECK_MEM(answer + 4, vendor, sizeof vendor);
	CHECK_MEM(answer + 8, "LIO-ORG " SERIAL, 28);
	CHECK_MEM(answer + 36, naa, sizeof naa);
	CHECK_ZERO(answer + 36 + sizeof naa, 64);
}

/* The kernel carries them out, and refuses them where they are switched off. */
static void test_reservations(const void *data)
{
	static const guint8 reserve[16] = {0xa3, 0x0c, 1, 0x16, [9] = 64};
	static const guint8 enlist[16] = {0xa3, 0x0c, 2, 0x5f, [9] = 64};

	(void)data;
	for (guint off = 0; off < 2; off++) {
		test_row("%s", off ? "off" : "on");
		no_reservations = (gboolean)off;
		CHECK_INT(list_has(0x16, 0), !off);
		CHECK_INT(list_has(0x57, 0), !off);
		CHECK_INT(list_has(0x5e, 3), !off);
		CHECK_INT(list_has(0x5f, 7), !off);
		CHECK_INT(ask(reserve), RUNNER_OK);
		CHECK_UINT(answer[1], off ? 1 : 3);
		CHECK_INT(ask(enlist), RUNNER_OK);
		CHECK_UINT(answer[1], off ? 1 : 3);
	}
	no_reservations = FALSE;
}

int main(int argc, char **argv)
{
	test_add("of target port groups as much is told as is answered", test_told, NULL);
	test_add("where the runner is not asked the unit has its names all the same",
		 test_designators, NULL);
	test_add("reservations are told of where there are any", test_reservations, NULL);
	return test_run(argc, argv);
}
