/* SPDX-License-Identifier: Apache-2.0 */
/* Text that is safe to print, and text for JSON. */
#include <string.h>

#include "common/base/json.h"
#include "common/base/text.h"
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
	{"cut \xe2\x82", "cut \\xe2\\x82"},  /* an incomplete character */
	{"\xc0\xaf", "\\xc0\\xaf"},	     /* an overlong '/' */
	{"\xed\xa0\x80", "\\xed\\xa0\\x80"}, /* a UTF-16 surrogate */
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
		g_autofree char *again = text_printable(printable);

		test_row("%s", rows[i].printable);
		CHECK_STR(printable, rows[i].printable);
		CHECK_STR(again, printable);
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
		/* Valid UTF-8 is unchanged. */
		CHECK(!g_utf8_validate(rows[i].text, -1, NULL) ||
		      !g_strcmp0(json_get_text(again, "path"), rows[i].text));
	}
}

/* Characters of one, two, three and four bytes. */
#define ALL "x\u00e9\u20ac\U0001f4be"

static void test_whole_length(const void *data)
{
	static const gsize whole[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10};

	(void)data;
	for (gsize length = 0; length < G_N_ELEMENTS(whole); length++) {
		test_row("%" G_GSIZE_FORMAT, length);
		CHECK_UINT(text_whole_length(ALL, length), whole[length]);
	}
	CHECK_UINT(text_whole_length("\x80\x80\x80\x80", 4), 4); /* not a character */
	CHECK_UINT(text_whole_length("\x80", 1), 1);
	CHECK_UINT(text_whole_length("a\xff", 2), 1);
}

static void test_excerpt(const void *data)
{
	static const struct {
		gsize max;
		const char *text;
	} excerpts[] = {{20, ALL},	   {10, ALL},	{9, "x\u00e9\u20ac..."},
			{5, "x\u00e9..."}, {2, "x..."}, {0, "..."}};
	g_autofree char *bytes = text_excerpt("a\xff\xffz", 3);

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(excerpts); i++) {
		g_autofree char *text = text_excerpt(ALL, excerpts[i].max);

		test_row("%" G_GSIZE_FORMAT, excerpts[i].max);
		CHECK_STR(text, excerpts[i].text);
	}
	test_row(NULL);
	CHECK(g_utf8_validate(bytes, -1, NULL));
	CHECK(g_str_has_prefix(bytes, "a\\xff"));
}

int main(int argc, char **argv)
{
	test_add("bytes that must not be printed are shown as numbers", test_printable, NULL);
	test_add("JSON is UTF-8 whatever the text is", test_json, NULL);
	test_add("a text is cut between characters", test_whole_length, NULL);
	test_add("an excerpt is marked as one", test_excerpt, NULL);
	return test_run(argc, argv);
}
