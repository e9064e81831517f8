/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/logging.h"

#include "tests/harness.h"

static guint lines;
static char last[2048];

static const char *last_event;

static void sink(LoggingLevel level, const char *line)
{
	const LoggingFields *fields = logging_fields();

	(void)level;
	lines++;
	last_event = fields ? fields->event : NULL;
	g_strlcpy(last, line, sizeof last);
}

static void test_limit(const void *data)
{
	LoggingLimit one = {0}, other = {0};
	guint first;

	(void)data;
	lines = 0;
	for (guint i = 0; i < 1000; i++)
		logging_write_limited(&one, LOGGING_ERROR, "bad block %u", i);
	first = lines;
	CHECK_UINT(first, 10);
	CHECK_STR(last, "bad block 9");
	logging_write_limited(&other, LOGGING_ERROR, "another place");
	CHECK_STR(last, "another place");

	one.begun -= 5 * G_USEC_PER_SEC; /* as if five seconds had passed */
	logging_write_limited(&one, LOGGING_ERROR, "bad block %u", 1000u);
	CHECK_UINT(lines, first + 3);
	CHECK_STR(last, "bad block 1000");
	CHECK_UINT(one.dropped, 0);
}

static void test_says_how_many(const void *data)
{
	LoggingLimit limit = {0};

	(void)data;
	for (guint i = 0; i < 17; i++)
		logging_write_limited(&limit, LOGGING_ERROR, "x");
	limit.begun -= 5 * G_USEC_PER_SEC;
	CHECK_UINT(limit.dropped, 7);
	lines = 0;
	logging_write_limited(&limit, LOGGING_ERROR, "%s", "");
	CHECK_UINT(lines, 2);
}

static void test_fields(const void *data)
{
	const LoggingFields fields = {.event = "x"};
	LoggingLimit limit = {0};

	(void)data;
	logging_write_fields(LOGGING_INFO, &fields, "%s", "");
	CHECK_STR(last_event, "x");
	log_info("%s", "");
	CHECK_STR(last_event, NULL);
	logging_write_fields_limited(&limit, LOGGING_INFO, &fields, "%s", "");
	CHECK_STR(last_event, "x");
}

static void test_long_line_is_cut(const void *data)
{
	g_autofree char *text = g_strnfill(5000, 'x');

	(void)data;
	log_info("%s", text);
	CHECK_UINT(strlen(last), 1023);
}

/* Every cut falls between characters. */
static void test_cut_between_characters(const void *data)
{
	GString *text = g_string_new(NULL);

	(void)data;
	for (guint i = 0; i < 1000; i++)
		g_string_append(text, "\U0001f4be");
	for (guint i = 0; i < 4; i++) {
		test_row("%u", i);
		log_info("%s", text->str);
		CHECK(g_utf8_validate(last, -1, NULL));
		CHECK(strlen(last) >= 1020);
		g_string_prepend_c(text, 'x');
	}
	g_string_free(text, TRUE);
}

int main(int argc, char **argv)
{
	logging_set_sink(sink);
	test_add("a storm of lines is cut to ten", test_limit, NULL);
	test_add("the next line says how many were left out", test_says_how_many, NULL);
	test_add("a sink sees the fields of its line alone", test_fields, NULL);
	test_add("a long line is cut", test_long_line_is_cut, NULL);
	test_add("a long line is cut between characters", test_cut_between_characters, NULL);
	return test_run(argc, argv);
}
