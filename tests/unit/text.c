/* SPDX-License-Identifier: Apache-2.0 */
/* Text as it may be shown, and as JSON takes it. */
#include <string.h>

#include "common/json.h"
#include "common/text.h"
#include "tests/harness.h"

static const struct {
	const char *text, *printable;
} rows[] = {
	{"", ""},
	{"default/db", "default/db"},
	{"/srv/Größe/日本", "/srv/Größe/日本"},
	{"d\xff"
	 "b",
	 "d\\xffb"},
	{"cut \xe2\x82", "cut \\xe2\\x82"},  /* a character's beginning */
	{"\xc0\xaf", "\\xc0\\xaf"},	     /* '/' in more bytes than it needs */
	{"\xed\xa0\x80", "\\xed\\xa0\\x80"}, /* half of a pair of UTF-16 */
	{"red \x1b[31m\x07\n", "red \\x1b[31m\\x07\\x0a"},
	{"\xc2\x9b"
	 "2J",
	 "\\xc2\\x9b2J"}, /* the same escape as one control character */
	{"\x7f", "\\x7f"},
};

static void test_printable(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *printable = text_printable(rows[i].text);

		test_row("%s", rows[i].printable);
		CHECK_STR(printable, rows[i].printable);
		CHECK(text_is_printable(printable));
		CHECK(text_is_printable(rows[i].text) == !strcmp(rows[i].text, rows[i].printable));
	}
}

static void test_json(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(Json) object = json_object_new_object();
		g_autoptr(Json) again = NULL;
		const char *text;

		test_row("%s", rows[i].printable);
		json_add_text(object, "path", rows[i].text);
		text = json_object_to_json_string(object);
		CHECK(g_utf8_validate(text, -1, NULL));
		again = json_tokener_parse(text);
		CHECK(again && json_get_text(again, "path"));
		/* What is UTF-8 comes back as it was. */
		CHECK(!g_utf8_validate(rows[i].text, -1, NULL) ||
		      !g_strcmp0(json_get_text(again, "path"), rows[i].text));
	}
}

int main(int argc, char **argv)
{
	test_add("bytes that may not be shown are written as numbers", test_printable, NULL);
	test_add("JSON is UTF-8 whatever the text is", test_json, NULL);
	return test_run(argc, argv);
}
