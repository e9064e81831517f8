/* SPDX-License-Identifier: Apache-2.0 */
#include "handler/cfgstring.h"

#include "common/base/error.h"
#include "tests/harness.h"

typedef struct {
	const char *text;
	const char *pool, *name, *snapshot; /* what it says */
	gboolean create, write_through, read_only;
	const char *problem; /* or what the message must contain */
} CfgstringRow;

static const CfgstringRow rows[] = {
	{.text = "storageos/db", .pool = "default", .name = "db"},
	{.text = "storageos/default/db", .pool = "default", .name = "db"},
	{.text = "storageos/fast/db.1", .pool = "fast", .name = "db.1"},
	{.text = "storageos/fast/db;create", .pool = "fast", .name = "db", .create = TRUE},
	{.text = "storageos/db;write_cache=off",
	 .pool = "default",
	 .name = "db",
	 .write_through = TRUE},
	{.text = "storageos/db;write_cache=off;create",
	 .pool = "default",
	 .name = "db",
	 .create = TRUE,
	 .write_through = TRUE},
	{.text = "storageos/db;read_only", .pool = "default", .name = "db", .read_only = TRUE},
	{.text = "storageos/db@monday;read_only",
	 .pool = "default",
	 .name = "db",
	 .snapshot = "monday",
	 .read_only = TRUE},
	{.text = "storageos//dev/sdb", .name = "/dev/sdb"},
	{.text = "storageos/default/db@monday",
	 .pool = "default",
	 .name = "db",
	 .snapshot = "monday"},
	{.text = "storageos//dev/sdb@monday", .name = "/dev/sdb", .snapshot = "monday"},
	{.text = "storageos/db@monday;create", .problem = "a snapshot is not created here"},
	{.text = "storageos/db@", .problem = "invalid snapshot name ''"},
	{.text = "", .problem = "storageos/"},
	{.text = "storageos", .problem = "storageos/"},
	{.text = "storage/db", .problem = "storageos/"},
	{.text = "storageos/", .problem = "cfgstring 'storageos/'"},
	{.text = "storageos/;create", .problem = "cfgstring"},
	{.text = "storageos/DB", .problem = "DB"},
	{.text = "storageos/a/b/c", .problem = "cfgstring"},
	{.text = "storageos/../db", .problem = ".."},
	{.text = "storageos/db;", .problem = "unknown key ''"},
	{.text = "storageos/db;size=1G", .problem = "unknown key 'size'"},
	{.text = "storageos/db;Create", .problem = "unknown key 'Create'"},
	{.text = "storageos/db;create=yes", .problem = "takes no value"},
	{.text = "storageos/db;create;create", .problem = "twice"},
	{.text = "storageos/db;create=", .problem = "takes no value"},
	{.text = "storageos/db;write_cache", .problem = "can only be write_cache=off"},
	{.text = "storageos/db;write_cache=", .problem = "can only be write_cache=off"},
	{.text = "storageos/db;write_cache=on", .problem = "can only be write_cache=off"},
	{.text = "storageos/db;write_cache=off;write_cache=off", .problem = "twice"},
	{.text = "storageos/db;read_only=on", .problem = "takes no value"},
	{.text = "storageos/db;create;read_only", .problem = "exclude each other"},
	{.text = "storageos/db\n", .problem = "cfgstring"},
};

static void check_row(const CfgstringRow *row)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(CfgString) cfgstring = cfgstring_parse(row->text, &error);

	test_row("'%s'", row->text);
	if (row->problem) {
		CHECK(!cfgstring);
		CHECK_ERROR(error, STORAGEOS_ERROR_INVALID, row->problem);
		return;
	}
	CHECK_NO_ERROR(error);
	REQUIRE(cfgstring != NULL);
	CHECK_STR(cfgstring->volume->pool, row->pool);
	CHECK_STR(cfgstring->volume->name, row->name);
	CHECK_STR(cfgstring->volume->snapshot, row->snapshot);
	CHECK_INT(cfgstring->create, row->create);
	CHECK_INT(cfgstring->write_through, row->write_through);
	CHECK_INT(cfgstring->read_only, row->read_only);
}

static void test_forms(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
		check_row(&rows[i]);
}

static void test_length(const void *data)
{
	g_autofree char *long_name = g_strnfill(300, 'x');
	g_autofree char *text = g_strdup_printf("storageos/%s", long_name);
	g_autoptr(GError) error = NULL;

	(void)data;
	CHECK(!cfgstring_parse(text, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_INVALID, "longer than 255");
}

int main(int argc, char **argv)
{
	test_add("a cfgstring is what interface.md says, and nothing else", test_forms, NULL);
	test_add("one that the kernel could not have passed is refused", test_length, NULL);
	return test_run(argc, argv);
}
