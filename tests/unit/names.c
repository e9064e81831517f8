/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/names.h"

#include "tests/harness.h"

static const struct {
	const char *name;
	gboolean valid;
} rows[] = {
	{"a", TRUE},	{"0", TRUE},	     {"db", TRUE},	   {"db-1.old_copy", TRUE},
	{"9z.", TRUE},	{NULL, FALSE},	     {"", FALSE},	   {".", FALSE},
	{"..", FALSE},	{".hidden", FALSE},  {"-rf", FALSE},	   {"_device", FALSE},
	{"Db", FALSE},	{"dB", FALSE},	     {"a/b", FALSE},	   {"a:b", FALSE},
	{"a b", FALSE}, {"a\n", FALSE},	     {"a\x7f", FALSE},	   {"a;b", FALSE},
	{"a$b", FALSE}, {"\xc3\xa4", FALSE}, {"a\xc3\xa4", FALSE},
};

static void test_names(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		test_row("'%s'", rows[i].name ? rows[i].name : "(NULL)");
		CHECK_INT(name_valid(rows[i].name), rows[i].valid);
	}
}

static void test_length(const void *data)
{
	g_autofree char *longest = g_strnfill(NAME_LENGTH_MAX, 'x');
	g_autofree char *too_long = g_strnfill(NAME_LENGTH_MAX + 1, 'x');

	(void)data;
	CHECK_UINT(NAME_LENGTH_MAX, 63);
	CHECK(name_valid(longest));
	CHECK(!name_valid(too_long));
}

/* Of all bytes but the zero byte, these may follow the first character, and no others. */
static void test_every_byte(const void *data)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789._-";

	(void)data;
	for (guint byte = 1; byte < 256; byte++) {
		const char name[] = {'a', (char)byte, '\0'};

		test_row("byte 0x%02x", byte);
		CHECK_INT(name_valid(name), strchr(letters, (char)byte) != NULL);
	}
}

int main(int argc, char **argv)
{
	test_add("valid and invalid names", test_names, NULL);
	test_add("at most 63 bytes", test_length, NULL);
	test_add("every byte", test_every_byte, NULL);
	return test_run(argc, argv);
}
