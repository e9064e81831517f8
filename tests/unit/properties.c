/* SPDX-License-Identifier: Apache-2.0 */
/* The text of a volume's properties. */
#include <string.h>

#include "common/engine/properties.h"
#include "tests/harness.h"

/* "key=value key=value": what a reader sees. */
static void check_seen(const Properties *properties, const char *wanted)
{
	g_autoptr(GString) seen = g_string_new(NULL);
	Property property;
	guint at = 0;

	while (properties_next(properties, &at, &property))
		g_string_append_printf(seen, "%s%s=%s", seen->len ? " " : "", property.key,
				       property.value);
	CHECK_STR(seen->str, wanted);
}

static gboolean change(Properties *properties, const char *key, const char *value, GError **error)
{
	Property property = {.key = ""};

	g_strlcpy(property.key, key, sizeof property.key);
	g_strlcpy(property.value, value, sizeof property.value);
	return properties_change(properties, &property, error);
}

static void test_change(const void *data)
{
	Properties properties = {{0}};
	char value[PROPERTY_VALUE_MAX + 1] = "";

	(void)data;
	CHECK(change(&properties, "b", "2", NULL));
	CHECK(change(&properties, "c.x", "3", NULL));
	CHECK(change(&properties, "a", "=1 =", NULL));
	CHECK_STR(properties.text, "a==1 =\nb=2\nc.x=3\n");
	CHECK(change(&properties, "b", "zwei, größer", NULL));
	CHECK(change(&properties, "none", "", NULL));
	check_seen(&properties, "a==1 = b=zwei, größer c.x=3");
	CHECK(properties_get(&properties, "b", value));
	CHECK_STR(value, "zwei, größer");
	CHECK(!properties_get(&properties, "c", value));
	CHECK(change(&properties, "a", "", NULL));
	CHECK(change(&properties, "c.x", "", NULL));
	CHECK(change(&properties, "b", "", NULL));
	for (guint i = 0; i < sizeof properties.text; i++)
		CHECK(!properties.text[i]);
}

static const struct {
	const char *key, *value, *says;
} refused[] = {
	{"", "x", "invalid property ''"},
	{"A", "x", "invalid property 'A' (1 to 63 of a-z, 0-9, '_', '.', '-')"},
	{"a b", "x", "invalid property 'a b'"},
	{"a=b", "x", "invalid property 'a=b'"},
	{"k\xff", "x", "invalid property 'k\\xff'"},
	{"a", "line\nline", "invalid value of 'a' (1 to 255 bytes of UTF-8"},
	{"a", "\x1b[2J", "invalid value of 'a'"},
	{"a", "\xc2\x9b", "invalid value of 'a'"}, /* a control character of two bytes */
	{"a", "\xff", "invalid value of 'a'"},
	{"a", "cut \xe2\x82", "invalid value of 'a'"},
};

static void test_refused(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(refused); i++) {
		Properties properties = {"k=v\n"};
		g_autoptr(GError) error = NULL;

		test_row("%u", i);
		CHECK(!change(&properties, refused[i].key, refused[i].value, &error));
		CHECK_ERROR(error, STORAGEOS_ERROR_INVALID, refused[i].says);
		CHECK_STR(properties.text, "k=v\n");
	}
}

static void test_lengths(const void *data)
{
	g_autofree char *key = g_strnfill(PROPERTY_KEY_MAX, 'k');
	g_autofree char *value = g_strnfill(PROPERTY_VALUE_MAX, 'v');
	g_autofree char *long_key = g_strnfill(PROPERTY_KEY_MAX + 1, 'k');
	g_autofree char *long_value = g_strnfill(PROPERTY_VALUE_MAX + 1, 'v');

	(void)data;
	CHECK(property_check_key(key, NULL));
	CHECK(property_check_value("k", value, NULL));
	CHECK(!property_check_key(long_key, NULL));
	CHECK(!property_check_value("k", long_value, NULL));
	CHECK(!property_check_value("k", "", NULL));
}

/* Fills the text to its last byte, and not one more. */
static void test_full(const void *data)
{
	g_autofree char *value = g_strnfill(PROPERTY_VALUE_MAX, 'v');
	Properties properties = {{0}}, full;
	g_autoptr(GError) error = NULL;
	char key[] = "a";

	(void)data;
	for (; *key < 'h'; ++*key) /* 7 lines of 258 bytes */
		REQUIRE(change(&properties, key, value, NULL));
	value[PROPERTIES_MAX - 7 * 258 - 3] = '\0';
	REQUIRE(change(&properties, "x", value, NULL));
	CHECK_INT(strlen(properties.text), PROPERTIES_MAX);
	full = properties;
	CHECK(!change(&properties, "z", "1", &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_NO_SPACE, "no room for property 'z'");
	CHECK(!memcmp(&properties, &full, sizeof full));
	g_clear_error(&error);
	CHECK(!change(&properties, "0", "1", &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_NO_SPACE, "at most 2047 bytes");
	CHECK(!memcmp(&properties, &full, sizeof full));
	CHECK(change(&properties, "x", "1", NULL));
	CHECK(change(&properties, "z", "1", NULL));
}

static const struct {
	const char *text, *seen;
} texts[] = {
	{"", ""},
	{"a=1", ""},
	{"a=1\nb=2", "a=1"},
	{"\n\n=\na\na=\n=b\n", ""},
	{"A=1\nb=2\n", "b=2"},
	{"b=2\na=1\nb=3\nc=4\n", "b=2 c=4"},
	{"a=\x01\nb=\xff\nc=3\n", "c=3"},
};

/* I9: what a disk may hold; the next change leaves what counts. */
static void test_broken(const void *data)
{
	Properties garbage;

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
		Properties properties = {{0}};

		test_row("%u", i);
		memcpy(properties.text, texts[i].text, strlen(texts[i].text));
		check_seen(&properties, texts[i].seen);
		CHECK(change(&properties, "z", "1", NULL));
		CHECK(change(&properties, "z", "", NULL));
		check_seen(&properties, texts[i].seen);
		CHECK(!*properties.text || g_str_has_suffix(properties.text, "\n"));
	}
	memset(garbage.text, 'a', sizeof garbage.text);
	check_seen(&garbage, "");
	memset(garbage.text, '\n', sizeof garbage.text);
	check_seen(&garbage, "");
	CHECK(change(&garbage, "a", "1", NULL));
	CHECK_STR(garbage.text, "a=1\n");
}

int main(int argc, char **argv)
{
	test_add("set, replaced and removed, in the order of keys", test_change, NULL);
	test_add("a key or value that breaks the rules changes nothing", test_refused, NULL);
	test_add("the longest key and value", test_lengths, NULL);
	test_add("a full text takes no more, and stays", test_full, NULL);
	test_add("lines that break the rules do not count", test_broken, NULL);
	return test_run(argc, argv);
}
