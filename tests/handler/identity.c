/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What configfs tells and is told, in directories that look like it; and how much space there is.
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

static const struct {
	const char *type;
	guint8 tpgs;
} types[] = {{"None", 0}, {"Implicit", 1}, {"Explicit", 2}, {"Implicit and Explicit", 3}};

static void test_identity(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(types); i++) {
		g_autofree char *directory = test_path(".configfs");
		ScsiIdentity identity;

		test_row("%s", types[i].type);
		put(directory, "wwn/vpd_unit_serial", "T10 VPD Unit Serial Number: 12-ab\n");
		put(directory, "alua/none/members", "");
		put(directory, "alua/none/alua_access_type", "Implicit and Explicit\n");
		put(directory, "alua/some/members", "loopback/naa.1/tpgt_1/lun_0\n");
		put(directory, "alua/some/alua_access_type", types[i].type);
		identity_read(directory, &identity);
		CHECK_STR(identity.serial, "12-ab");
		CHECK_UINT(identity.tpgs, types[i].tpgs);
	}
}

static void test_nothing(const void *data)
{
	g_autofree char *directory = test_path(".configfs");
	g_autofree char *longest = g_strnfill(1000, 'x');
	g_autofree char *text = g_strconcat("T10 VPD Unit Serial Number: ", longest, NULL);
	ScsiIdentity identity = {.serial = "left"};

	(void)data;
	identity_read(NULL, &identity);
	CHECK_STR(identity.serial, "");
	identity_read(directory, &identity);
	CHECK_STR(identity.serial, "");
	CHECK_UINT(identity.tpgs, 0);
	put(directory, "wwn/vpd_unit_serial", text);
	identity_read(directory, &identity);
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
	test_add("the serial number, and how the access state is changed", test_identity, NULL);
	test_add("nothing, and too much", test_nothing, NULL);
	test_add("the kernel's time-out is switched off, unless it is somebody's", test_time_out,
		 NULL);
	test_add("the space of the file system", test_space, NULL);
	return test_run(argc, argv);
}
