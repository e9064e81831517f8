/* SPDX-License-Identifier: Apache-2.0 */
/* What people write for a property, and what a volume keeps of it. */
#include <string.h>

#include "common/service/property-command.h"
#include "common/service/property-rules.h"
#include "tests/harness.h"

static const struct {
	const char *assignment, *key, *value, *shown;
} good[] = {
	{"description=a database", "description", "a database", "a database"},
	{"description==", "description", "=", "="},
	{"description=", "description", "", ""},
	{"label.team=blue", "label.team", "blue", "blue"},
	{"user.com.example=x", "user.com.example", "x", "x"},
	{"scrub_rate=50M", "scrub_rate", "52428800", "50 MiB"},
	{"scrub_rate=0", "scrub_rate", "0", "0 B"},
	{"frontend=fuse", "frontend", "fuse", "fuse"},
	{"reserve=10G", "reserve", "10737418240", "10 GiB"},
	{"reserve=full", "reserve", "full", "full"},
	{"reserve=none", "reserve", "", ""},
	{"reserve=0", "reserve", "", ""},
	{"later.key=", "later.key", "", ""}, /* whoever has set it, it can be removed */
};

static void test_good(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(good); i++) {
		g_autoptr(GError) error = NULL;
		g_autofree char *shown = NULL;
		Property change;

		test_row("%s", good[i].assignment);
		REQUIRE(property_parse(good[i].assignment, &change, &error));
		CHECK_STR(change.key, good[i].key);
		CHECK_STR(change.value, good[i].value);
		shown = property_show(&change);
		CHECK_STR(shown, good[i].shown);
	}
}

static const struct {
	const char *assignment, *says;
} bad[] = {
	{"description", "invalid assignment 'description' (KEY=VALUE, or KEY= to remove it)"},
	{"=x", "invalid property ''"},
	{"descripton=x", "no property 'descripton' (description, label.NAME, user.NAME, reserve, "},
	{"label.=x", "no property 'label.'"},
	{"Label.x=x", "invalid property 'Label.x'"},
	{"label.x=a\tb", "invalid value of 'label.x' (1 to 255 bytes"},
	{"scrub_rate=fast", "invalid scrub_rate 'fast' (bytes per second, for example 50M"},
	{"reserve=half", "invalid reserve 'half' (a size, full, or none)"},
	{"frontend=iscsi", "invalid frontend 'iscsi' (auto, tcmu or fuse)"},
};

static void test_bad(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) error = NULL;
		Property change;

		test_row("%s", bad[i].assignment);
		CHECK(!property_parse(bad[i].assignment, &change, &error));
		CHECK_ERROR(error, STORAGEOS_ERROR_INVALID, bad[i].says);
	}
}

static void test_size(const void *data)
{
	guint64 bytes = 7;

	(void)data;
	CHECK(property_get_size(&(Properties){"scrub_rate=1048576\n"}, "scrub_rate", &bytes));
	CHECK_UINT(bytes, 1048576);
	CHECK(!property_get_size(&(Properties){"scrub_rate=adaptive\n"}, "scrub_rate", &bytes));
	CHECK(!property_get_size(&(Properties){""}, "scrub_rate", &bytes));
	CHECK_UINT(bytes, 1048576);
}

/* A copy has no reserve: its space is not there. */
static void test_inherit(const void *data)
{
	Properties properties = {"description=a\nreserve=full\nuser.x=1\n"};

	(void)data;
	properties_inherit(&properties);
	CHECK_STR(properties.text, "description=a\nuser.x=1\n");
}

static void test_direct(const void *data)
{
	static const struct {
		Property change;
		const char *says; /* NULL: it can be changed so */
	} rows[] = {
		{{"description", "x"}, NULL},
		{{"write_iops", "1000"}, NULL},
		{{"later.key", "1"}, NULL},
		{{"reserve", "full"}, "has no reserve: "},
		{{"scrub_rate", "1048576"}, "has no scrub_rate: "},
		{{"reserve", ""}, NULL},
		{{"scrub_rate", ""}, NULL},
	};

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(GError) error = NULL;

		test_row("%s=%s", rows[i].change.key, rows[i].change.value);
		CHECK(property_check_direct(&rows[i].change, &error) == !rows[i].says);
		if (rows[i].says)
			CHECK_ERROR(error, STORAGEOS_ERROR_UNSUPPORTED, rows[i].says);
	}
}

static void test_json(const void *data)
{
	const Properties properties = {"description=\"größer\"\nlater.key=1\n"};
	g_autoptr(Json) object = properties_to_json(&properties);
	g_autoptr(Json) strange = json_tokener_parse("{\"A\": \"x\", \"b\": 7, \"c\": \"3\"}");
	Properties again;

	(void)data;
	CHECK_STR(json_get_text(object, "description"), "\"größer\"");
	properties_from_json(object, &again);
	CHECK(!memcmp(&properties, &again, sizeof again));
	properties_from_json(strange, &again);
	CHECK_STR(again.text, "c=3\n");
	properties_from_json(NULL, &again);
	CHECK_STR(again.text, "");
}

int main(int argc, char **argv)
{
	test_add("what Ceph has itself cannot be set of an image", test_direct, NULL);
	test_add("what people write, what is kept, what they see", test_good, NULL);
	test_add("a bad assignment is refused with the choices", test_bad, NULL);
	test_add("a size that is not understood is not set", test_size, NULL);
	test_add("a copy takes over all but the reserve", test_inherit, NULL);
	test_add("as JSON and back, without what breaks the rules", test_json, NULL);
	return test_run(argc, argv);
}
