/* SPDX-License-Identifier: Apache-2.0 */
#include "common/service/volume-name.h"

#include "common/base/error.h"
#include "tests/harness.h"

#define NAME_63 "a23456789012345678901234567890123456789012345678901234567890123"

static const struct {
	const char *text, *pool, *name, *snapshot;
} names[] = {
	{"db", "default", "db", NULL},
	{"fast/db", "fast", "db", NULL},
	{"0/9", "0", "9", NULL},
	{"a.b_c-d/x..y", "a.b_c-d", "x..y", NULL},
	{NAME_63 "/" NAME_63, NAME_63, NAME_63, NULL},
	{"db@monday", "default", "db", "monday"},
	{"fast/db@a.b_c-d", "fast", "db", "a.b_c-d"},
	{"/dev/sdb@0", NULL, "/dev/sdb", "0"},
	{NAME_63 "/" NAME_63 "@" NAME_63, NAME_63, NAME_63, NAME_63},
	{"/dev/sdb", NULL, "/dev/sdb", NULL},
	{"/dev/disk/by-id/wwn-0x5", NULL, "/dev/disk/by-id/wwn-0x5", NULL},
};

static void test_names(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autoptr(GError) error = NULL;
		g_autoptr(VolumeName) name = volume_name_parse_any(names[i].text, &error);
		g_autoptr(VolumeName) volume = volume_name_parse(names[i].text, NULL);
		g_autofree char *text = NULL;

		test_row("%s", names[i].text);
		CHECK_NO_ERROR(error);
		if (!CHECK(name))
			continue;
		CHECK_STR(name->pool, names[i].pool);
		CHECK_STR(name->name, names[i].name);
		CHECK_STR(name->snapshot, names[i].snapshot);
		CHECK(!volume == (names[i].snapshot != NULL));
		text = volume_name_format(name);
		CHECK(g_str_has_suffix(text, names[i].text));
	}
}

static const char *const bad_names[] = {
	"",
	"/",
	"//",
	"a/",
	"/a/",
	"a//b",
	"a/b/c",
	"A",
	"a/B",
	".a",
	"-a",
	"_a",
	"a b",
	"a:b",
	"a,b",
	"a;b",
	"a\n",
	"..",
	"../a",
	"a/..",
	"a/../b",
	"\xc3\xa4",
	NAME_63 "4",
	NAME_63 "4/a",
	"a/" NAME_63 "4",
	"/dev/../etc/passwd",
	"/dev//sdb",
	"/dev/./sdb",
	"/dev/sd b",
	"/dev/sdb;create",
	"/dev/a:b",
	"default/db;create",
	"@",
	"db@",
	"@monday",
	"a/@monday",
	"db@Monday",
	"db@mon/day",
	"db@a@b",
	"a@b/db",
	"/dev/sdb@",
	"/dev/a@b/sdb",
	"/dev/sdb@a@b",
	"db@" NAME_63 "4",
};

static void test_bad_names(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(bad_names); i++) {
		g_autoptr(GError) error = NULL;

		test_row("'%s'", bad_names[i]);
		CHECK(!volume_name_parse_any(bad_names[i], &error));
		CHECK_ERROR(error, STORAGEOS_ERROR_INVALID, NULL);
	}
}

static void test_snapshot_for_volume(const void *data)
{
	g_autoptr(GError) error = NULL;

	(void)data;
	CHECK(!volume_name_parse("db@monday", &error));
	CHECK_ERROR(
		error, STORAGEOS_ERROR_INVALID,
		"'default/db@monday' is the name of a snapshot; the name of a volume is needed");
}

static void test_format(const void *data)
{
	const VolumeName name = {.pool = (char *)"p", .name = (char *)"v"};
	const VolumeName path = {.name = (char *)"/dev/x"};
	g_autofree char *in_pool = volume_name_format(&name);
	const VolumeName monday = {
		.pool = (char *)"p", .name = (char *)"v", .snapshot = (char *)"monday"};
	g_autofree char *device = volume_name_format(&path);
	g_autofree char *snapshot = volume_name_format(&monday);

	(void)data;
	CHECK_STR(in_pool, "p/v");
	CHECK_STR(device, "/dev/x");
	CHECK_STR(snapshot, "p/v@monday");
}

int main(int argc, char **argv)
{
	test_add("names are parsed", test_names, NULL);
	test_add("bad names are refused", test_bad_names, NULL);
	test_add("a snapshot is not taken for a volume", test_snapshot_for_volume, NULL);
	test_add("names are formatted", test_format, NULL);
	return test_run(argc, argv);
}
