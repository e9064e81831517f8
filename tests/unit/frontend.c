/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/frontend.h"

#include "tests/harness.h"

static void test_round_trip(const void *data)
{
	static const struct {
		Frontend frontend;
		const char *name;
	} rows[] = {
		{FRONTEND_AUTO, "auto"},
		{FRONTEND_TCMU, "tcmu"},
		{FRONTEND_FUSE, "fuse"},
	};

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		Frontend parsed = (Frontend)~0u;

		test_row("%s", rows[i].name);
		CHECK_STR(frontend_name(rows[i].frontend), rows[i].name);
		CHECK(frontend_parse(rows[i].name, &parsed));
		CHECK_UINT(parsed, rows[i].frontend);
	}
}

static void test_others(const void *data)
{
	static const char *const others[] = {"",      "TCMU", "Auto",  "fuse ",
					     " fuse", "fus",  "fuse3", "none"};

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(others); i++) {
		Frontend parsed = FRONTEND_FUSE;

		test_row("'%s'", others[i]);
		CHECK(!frontend_parse(others[i], &parsed));
		CHECK_UINT(parsed, FRONTEND_FUSE);
	}
}

int main(int argc, char **argv)
{
	test_add("a name is parsed as the front end that has it", test_round_trip, NULL);
	test_add("any other text is refused", test_others, NULL);
	return test_run(argc, argv);
}
