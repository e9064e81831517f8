/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Target port groups: INQUIRY agrees with REPORT TARGET PORT GROUPS, and the runner is not asked,
 * unless it has to learn that it may let commands pass.
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
		.serial = SERIAL,
		.ports = ports,
		.groups = {{.id = 0x102,
			    .state = 1,
			    .supported = 0xdf,
			    .status = 2,
			    .transition_seconds = 9,
			    .preferred = TRUE},
			   {.id = 7, .state = 2}},
		.n_groups = 2,
		.members = {{0, 3}, {1, 0x304}, {0, 5}},
		.n_members = 3,
		.port = {.target = "iqn.x:abc", .tag = 1, .port = 3, .group = 0x102, .protocol = 5},
		.no_reservations = no_reservations};
}

static guint8 answer[DATA_MAX], sense[RUNNER_SENSE_SIZE];

static ScsiUnit unit = {
	.blocks = 4096, .block_size = 512, .max_transfer = 2048, .identify = identify};

static RunnerStatus ask(const guint8 *cdb)
{
	const struct iovec iov = {answer, sizeof answer};
	const ScsiCommand command = {.cdb = cdb, .iov = &iov, .count = 1, .sense = sense};
	Request request;

	return scsi_command(&unit, &command, TRUE, &request);
}

static const guint8 inquiry[16] = {0x12, [4] = 96};
static const guint8 designators[16] = {0x12, 1, 0x83, 4, 0};
static const guint8 report_groups[16] = {0xa3, 0x0a, [8] = 2};
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
	guint8 tpgs;
} rows[] = {
	{"none", SCSI_PORTS_NONE, 0},
	{"some", SCSI_PORTS_ALUA, 1},
	{"some that are not supported", SCSI_PORTS_UNSUPPORTED, 0},
};

static void test_told(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		gboolean answered = rows[i].tpgs != 0;

		test_row("%s", rows[i].name);
		ports = rows[i].ports;
		CHECK_INT(ask(inquiry), RUNNER_OK);
		CHECK_UINT(answer[5] >> 4 & 3, rows[i].tpgs);
		CHECK_INT(ask(designators), RUNNER_OK);
		CHECK_INT(ask(report_groups), answered ? RUNNER_OK : RUNNER_SENSE_SET);
		CHECK_INT(ask(set_groups), RUNNER_SENSE_SET);
		CHECK_INT(ask(one), RUNNER_OK);
		CHECK_UINT(answer[1], answered ? 3 : 1);
		CHECK_INT(list_has(0xa3, 0x0a), answered);
		CHECK(list_has(0xa3, 0x0c));
		CHECK(!list_has(0xa4, 0x0a));
	}
}

/* The groups of identify(), as SPC-4 wants them. */
static const guint8 groups[] = {0x81, 0xdf, 1, 2, 0, 2, 0, 2, 0, 0, 0, 3, 0, 0,
				0,    5,    2, 0, 0, 7, 0, 0, 0, 1, 0, 0, 3, 4};

static void test_groups(const void *data)
{
	static const guint8 plain[16] = {0xa3, 0x0a, [8] = 2}, extended[16] = {0xa3, 0x2a, [8] = 2};
	static const guint8 cut[16] = {0xa3, 0x0a, [9] = 10};

	(void)data;
	ports = SCSI_PORTS_ALUA;
	CHECK_INT(ask(plain), RUNNER_OK);
	CHECK_UINT(get_be(answer, 4), sizeof groups);
	CHECK_MEM(answer + 4, groups, sizeof groups);
	CHECK_INT(ask(extended), RUNNER_OK);
	CHECK_UINT(get_be(answer, 4), 4 + sizeof groups);
	CHECK_UINT(get_be(answer + 4, 4), 0x10090000);
	CHECK_MEM(answer + 8, groups, sizeof groups);
	CHECK_INT(ask(cut), RUNNER_OK);
	CHECK_UINT(get_be(answer, 4), sizeof groups);
	CHECK_MEM(answer + 4, groups, 6);
	CHECK_ZERO(answer + 10, 64);
}

/* The runner fences all commands once it has seen a group that needs a lock, until it sees one that
 * does not. */
static void test_runner_asked(const void *data)
{
	(void)data;
	unit.runner_fences = TRUE;
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		ports = rows[i].ports;
		CHECK_INT(ask(designators),
			  ports == SCSI_PORTS_ALUA ? RUNNER_NOT_HANDLED : RUNNER_OK);
		CHECK_INT(ask(designators), RUNNER_OK);
	}
	unit.runner_fences = TRUE;
	ports = SCSI_PORTS_ALUA;
	CHECK_INT(ask(report_groups), RUNNER_NOT_HANDLED);
	CHECK_INT(ask(report_groups), RUNNER_OK);
}

/* As the runner and the kernel name the unit, and the port. */
static void test_designators(const void *data)
{
	static const guint8 vendor[] = {2, 1, 0, 28};
	static const guint8 naa[] = {1,	   3,	 0,    16,   0x60, 0x01, 0x40, 0x50, 0x12, 0x34,
				     0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0, 0,    0,    0,	   0};
	static const guint8 port[] = {0x51, 0x94, 0, 4, 0, 0, 0, 3, 0x51, 0x95, 0, 4, 0, 0, 1, 2};
	static const guint8 port_name[] = {0x53, 0x98, 0, 20}, target[] = {0x53, 0xa8, 0, 12};
	const guint own = 4 + 28 + sizeof naa;

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		const guint8 *at = answer + 4 + own;

		test_row("%s", rows[i].name);
		ports = rows[i].ports;
		CHECK_INT(ask(designators), RUNNER_OK);
		CHECK_UINT(get_be(answer, 4),
			   0x00830000 + own + (rows[i].tpgs ? sizeof port + 24 + 16 : 0));
		CHECK_MEM(answer + 4, vendor, sizeof vendor);
		CHECK_MEM(answer + 8, "LIO-ORG " SERIAL, 28);
		CHECK_MEM(answer + 36, naa, sizeof naa);
		if (!rows[i].tpgs) {
			CHECK_ZERO(at, 64);
			continue;
		}
		CHECK_MEM(at, port, sizeof port);
		CHECK_MEM(at + 16, port_name, sizeof port_name);
		CHECK_MEM(at + 20, "iqn.x:abc,t,0x0001\0", 20);
		CHECK_MEM(at + 40, target, sizeof target);
		CHECK_MEM(at + 44, "iqn.x:abc\0\0", 12);
		CHECK_ZERO(at + 56, 64);
	}
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
	test_add("target port groups and their ports are reported", test_groups, NULL);
	test_add("the runner is asked once after it has seen a group that needs a lock",
		 test_runner_asked, NULL);
	test_add("the unit has its names, and its port if that is in a group", test_designators,
		 NULL);
	test_add("reservations are told of where there are any", test_reservations, NULL);
	return test_run(argc, argv);
}
