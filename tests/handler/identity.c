/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading and writing configfs, in directories that look like it; and how much space is left.
 */
#include <glib/gstdio.h>
#include <sys/statvfs.h>

#include "handler/identity.h"
#include "handler/space.h"
#include "handler/timeout.h"
#include "tests/harness.h"

static void put(const char *directory, const char *name, const char *text)
{
	g_autofree char *path = g_build_filename(directory, name, NULL);
	g_autofree char *parent = g_path_get_dirname(path);

	CHECK_INT(g_mkdir_with_parents(parent, 0700), 0);
	CHECK(g_file_set_contents(path, text, -1, NULL));
}

#define LOOPBACK "loopback/naa.1/tpgt_1/lun_0"
#define ISCSI "iSCSI/iqn.2026-01.com.example:a/tpgt_1/lun_0"
#define ISCSI_OFF "iSCSI/iqn.2026-01.com.example:b/tpgt_2/lun_0"
#define ENABLE_ON "iscsi/iqn.2026-01.com.example:a/tpgt_1/enable"
#define ENABLE_OFF "iscsi/iqn.2026-01.com.example:b/tpgt_2/enable"
#define LUN "iscsi/iqn.2026-01.com.example:a/tpgt_1/lun/lun_0/statistics/"
#define LUN_OFF "iscsi/iqn.2026-01.com.example:b/tpgt_2/lun/lun_0/statistics/"

/* One group besides the default one, which is of a type that nobody deals with. */
static const struct {
	const char *name, *type, *members;
	gboolean implicit;
	ScsiPorts ports;
} groups[] = {
	{"no other group", NULL, NULL, TRUE, SCSI_PORTS_NONE},
	{"as a group is made", "Implicit and Explicit", "", TRUE, SCSI_PORTS_UNSUPPORTED},
	{"explicit", "Explicit", ISCSI, TRUE, SCSI_PORTS_UNSUPPORTED},
	{"implicit", "Implicit", ISCSI, TRUE, SCSI_PORTS_ALUA},
	{"implicit, to 1.3", "Implicit", ISCSI, FALSE, SCSI_PORTS_UNSUPPORTED},
	{"none, to 1.3", "None", ISCSI, FALSE, SCSI_PORTS_ALUA},
	{"empty", "None", "", TRUE, SCSI_PORTS_NONE},
	{"a port that is not enabled", "None", ISCSI_OFF, TRUE, SCSI_PORTS_NONE},
	{"one of two ports", "None", ISCSI_OFF "\n" ISCSI "\n", TRUE, SCSI_PORTS_ALUA},
	{"loopback", "None", LOOPBACK, TRUE, SCSI_PORTS_UNSUPPORTED},
	{"loopback, too", "None", ISCSI "\n" LOOPBACK, TRUE, SCSI_PORTS_UNSUPPORTED},
	{"what is no port", "None", "x", TRUE, SCSI_PORTS_UNSUPPORTED},
	{"a port without numbers", "None", "iSCSI/iqn.2026-01.com.example:a/tpgt_1/lun_1", TRUE,
	 SCSI_PORTS_UNSUPPORTED},
};

static void put_ports(const char *configfs)
{
	put(configfs, ENABLE_ON, "1\n");
	put(configfs, LUN "scsi_port/indx", "3\n");
	put(configfs, LUN "scsi_transport/proto_id", "5\n");
	put(configfs, ENABLE_OFF, "0\n");
	put(configfs, LUN_OFF "scsi_port/indx", "4\n");
	put(configfs, LUN_OFF "scsi_transport/proto_id", "5\n");
}

static void test_identity(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(groups); i++) {
		g_autofree char *configfs = test_path(".configfs");
		g_autofree char *device = g_build_filename(configfs, "core/user_0/disk", NULL);
		ScsiIdentity identity;

		test_row("%s", groups[i].name);
		put_ports(configfs);
		put(device, "wwn/vpd_unit_serial", "T10 VPD Unit Serial Number: 12-ab\n");
		put(device, "alua/default_tg_pt_gp/members", LOOPBACK "\n" ISCSI "\n");
		put(device, "alua/default_tg_pt_gp/alua_access_type", "Implicit and Explicit\n");
		if (groups[i].type) {
			put(device, "alua/some/members", groups[i].members);
			put(device, "alua/some/alua_access_type", groups[i].type);
			put(device, "alua/some/tg_pt_gp_id", "7\n");
			put(device, "alua/some/alua_access_state", "0\n");
		}
		identity_read(device, groups[i].implicit, &identity);
		CHECK_STR(identity.serial, "12-ab");
		CHECK_INT(identity.ports, groups[i].ports);
		CHECK_INT(identity.needs_lock, !g_strcmp0(groups[i].type, "Implicit and Explicit"));
	}
}

/* One that has everything, with two ports of which one is enabled. */
static void test_group(const void *data)
{
	g_autofree char *configfs = test_path(".configfs");
	g_autofree char *device = g_build_filename(configfs, "core/user_0/disk", NULL);
	ScsiIdentity identity;

	(void)data;
	put_ports(configfs);
	put(device, "alua/some/alua_access_type", "Implicit\n");
	put(device, "alua/some/members", ISCSI_OFF "\n" ISCSI "\n");
	put(device, "alua/some/tg_pt_gp_id", "258\n");
	put(device, "alua/some/alua_access_state", "1\n");
	put(device, "alua/some/alua_access_status", "Altered by Implicit ALUA\n");
	put(device, "alua/some/preferred", "1\n");
	put(device, "alua/some/implicit_trans_secs", "9\n");
	put(device, "alua/some/alua_support_active_optimized", "1\n");
	put(device, "alua/some/alua_support_standby", "0\n");
	put(device, "alua/some/alua_support_transitioning", "1\n");
	identity_read(device, TRUE, &identity);
	CHECK_INT(identity.ports, SCSI_PORTS_ALUA);
	REQUIRE(CHECK_UINT(identity.n_groups, 1) && CHECK_UINT(identity.n_members, 2));
	CHECK_UINT(identity.groups[0].id, 258);
	CHECK_UINT(identity.groups[0].state, 1);
	CHECK_UINT(identity.groups[0].status, 2);
	CHECK_UINT(identity.groups[0].supported, 0x81);
	CHECK_UINT(identity.groups[0].transition_seconds, 9);
	CHECK(identity.groups[0].preferred);
	CHECK_UINT(identity.members[0].port, 4);
	CHECK_UINT(identity.members[1].port, 3);
	CHECK_STR(identity.port.target, "iqn.2026-01.com.example:a");
	CHECK_UINT(identity.port.tag, 1);
	CHECK_UINT(identity.port.port, 3);
	CHECK_UINT(identity.port.group, 258);
	CHECK_UINT(identity.port.protocol, 5);
}

/* More than are reported. */
static void test_many_groups(const void *data)
{
	static const guint counts[] = {SCSI_GROUPS_MAX, SCSI_GROUPS_MAX + 1};

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(counts); i++) {
		g_autofree char *configfs = test_path(".configfs");
		g_autofree char *device = g_build_filename(configfs, "core/user_0/disk", NULL);
		ScsiIdentity identity;

		put_ports(configfs);
		for (guint n = 0; n < counts[i]; n++) {
			g_autofree char *group = g_strdup_printf("alua/g%u", n);
			g_autofree char *path = g_build_filename(device, group, NULL);

			put(path, "alua_access_type", "None\n");
			put(path, "tg_pt_gp_id", "7\n");
			put(path, "alua_access_state", "0\n");
			put(path, "members", n ? "\n" : ISCSI "\n");
		}
		identity_read(device, TRUE, &identity);
		CHECK_INT(identity.ports, i ? SCSI_PORTS_UNSUPPORTED : SCSI_PORTS_ALUA);
	}
}

static const struct {
	const char *emulate_pr, *pgr_support;
	gboolean off;
} reservations[] = {{NULL, NULL, FALSE},
		    {"1\n", "1\n", FALSE},
		    {"1\n", NULL, FALSE},
		    {"0\n", "1\n", TRUE},
		    {"1\n", "0\n", TRUE}};

static void test_reservations(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(reservations); i++) {
		g_autofree char *directory = test_path(".configfs");
		ScsiIdentity identity;

		test_row("%u", i);
		put(directory, "attrib/other", "0");
		if (reservations[i].emulate_pr)
			put(directory, "attrib/emulate_pr", reservations[i].emulate_pr);
		if (reservations[i].pgr_support)
			put(directory, "attrib/pgr_support", reservations[i].pgr_support);
		identity_read(directory, TRUE, &identity);
		CHECK_INT(identity.no_reservations, reservations[i].off);
	}
}

static void test_size(const void *data)
{
	g_autofree char *directory = test_path(".configfs");

	(void)data;
	CHECK_UINT(identity_size(NULL), 0);
	CHECK_UINT(identity_size(directory), 0);
	put(directory, "attrib/dev_size", "1\n");
	CHECK_UINT(identity_size(directory), 1);
}

static void test_nothing(const void *data)
{
	g_autofree char *directory = test_path(".configfs");
	g_autofree char *longest = g_strnfill(1000, 'x');
	g_autofree char *text = g_strconcat("T10 VPD Unit Serial Number: ", longest, NULL);
	ScsiIdentity identity = {.serial = "left"};

	(void)data;
	identity_read(NULL, TRUE, &identity);
	CHECK_STR(identity.serial, "");
	identity_read(directory, TRUE, &identity);
	CHECK_STR(identity.serial, "");
	CHECK_INT(identity.ports, SCSI_PORTS_NONE);
	put(directory, "wwn/vpd_unit_serial", text);
	identity_read(directory, TRUE, &identity);
	CHECK_UINT(strlen(identity.serial), SCSI_SERIAL_MAX);
}

static const struct {
	const char *name, *before, *action, *after;
} time_outs[] = {
	{"the kernel's", "30\n", "action/reset_ring", "0"},
	{"somebody's", "60\n", "action/reset_ring", "60\n"},
	{"off", "0\n", "action/reset_ring", "0\n"},
	{"of an old kernel", "30\n", "action/other", "30\n"},
};

static void test_time_out(const void *data)
{
	(void)data;
	timeout_disable(NULL);
	for (guint i = 0; i < G_N_ELEMENTS(time_outs); i++) {
		g_autofree char *suffix = g_strdup_printf(".configfs-%u", i);
		g_autofree char *directory = test_path(suffix), *text = NULL;
		g_autofree char *path = g_build_filename(directory, "attrib/cmd_time_out", NULL);

		test_row("%s", time_outs[i].name);
		timeout_disable(directory); /* there is nothing */
		put(directory, "attrib/cmd_time_out", time_outs[i].before);
		put(directory, time_outs[i].action, "");
		timeout_disable(directory);
		REQUIRE(g_file_get_contents(path, &text, NULL, NULL));
		CHECK(g_str_has_prefix(text, time_outs[i].after));
	}
}

static void test_space(const void *data)
{
	g_autofree char *file = test_path(".vol"), *none = test_path(".none");
	struct statvfs fs;
	ScsiSpace space;

	(void)data;
	CHECK(g_file_set_contents(file, "x", -1, NULL));
	REQUIRE(!statvfs(file, &fs));
	REQUIRE(space_get(file, 123, &space));
	CHECK_UINT(space.used, 123);
	CHECK(space.available > 0 && space.available <= (guint64)fs.f_blocks * fs.f_frsize);
	CHECK(!space_get(none, 0, &space));
}

int main(int argc, char **argv)
{
	test_add("the serial number, and what the runner makes of target port groups",
		 test_identity, NULL);
	test_add("a target port group and its ports", test_group, NULL);
	test_add("more groups than are reported", test_many_groups, NULL);
	test_add("whether there are reservations", test_reservations, NULL);
	test_add("the size that was asked for", test_size, NULL);
	test_add("nothing, and too much", test_nothing, NULL);
	test_add("the kernel's time-out is switched off, unless it is somebody's", test_time_out,
		 NULL);
	test_add("the space of the file system", test_space, NULL);
	return test_run(argc, argv);
}
