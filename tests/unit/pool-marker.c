/* SPDX-License-Identifier: Apache-2.0 */
#include "common/service/pool-marker.h"

#include <sys/stat.h>

#include "common/base/error.h"
#include "tests/harness.h"

#define UUID "1c1f4bd2-3a0e-4a43-8d2c-0f4a3c2e1b00"

static char *new_directory(void)
{
	char *directory = test_path(".pool");

	CHECK_INT(mkdir(directory, 0700), 0);
	return directory;
}

static void test_write_and_read(const void *data)
{
	g_autofree char *directory = new_directory();
	g_autoptr(PoolMarker) marker = NULL, again = NULL;
	g_autoptr(GError) error = NULL, exists = NULL;

	(void)data;
	CHECK(pool_marker_write(directory, "db", &error));
	marker = pool_marker_read(directory, &error);
	CHECK_NO_ERROR(error);
	REQUIRE(marker);
	CHECK_STR(marker->name, "db");
	CHECK(g_uuid_string_is_valid(marker->uuid));
	test_row("a second one");
	CHECK(!pool_marker_write(directory, "other", &exists));
	CHECK_ERROR(exists, STORAGEOS_ERROR_EXISTS, NULL);
	again = pool_marker_read(directory, NULL);
	REQUIRE(again);
	CHECK_STR(again->name, "db");
	CHECK_STR(again->uuid, marker->uuid);
}

static void test_uuids_differ(const void *data)
{
	g_autofree char *one = new_directory(), *two = new_directory();
	g_autoptr(PoolMarker) a = NULL, b = NULL;

	(void)data;
	CHECK(pool_marker_write(one, "p", NULL) && pool_marker_write(two, "p", NULL));
	a = pool_marker_read(one, NULL);
	b = pool_marker_read(two, NULL);
	REQUIRE(a && b);
	CHECK(strcmp(a->uuid, b->uuid) != 0);
}

static void test_read_by_hand(const void *data)
{
	g_autofree char *directory = new_directory();
	g_autofree char *path = g_build_filename(directory, POOL_MARKER, NULL);
	g_autoptr(PoolMarker) marker = NULL;

	(void)data;
	CHECK(g_file_set_contents(path,
				  "{\"format\": 1, \"name\": \"db\", \"more\": [],"
				  " \"uuid\": \"1C1F4BD2-3A0E-4A43-8D2C-0F4A3C2E1B00\"}",
				  -1, NULL));
	marker = pool_marker_read(directory, NULL);
	REQUIRE(marker);
	CHECK_STR(marker->uuid, UUID); /* in lower case, so that UUIDs can be compared */
}

static void test_bad_markers(const void *data)
{
	static const struct {
		const char *text;
		int code;
	} rows[] = {
		{"", STORAGEOS_ERROR_CORRUPT},
		{"[]", STORAGEOS_ERROR_CORRUPT},
		{"{}", STORAGEOS_ERROR_CORRUPT},
		{"{\"format\": \"1\"}", STORAGEOS_ERROR_CORRUPT},
		{"{\"format\": 2}", STORAGEOS_ERROR_UNSUPPORTED},
		{"{\"format\": 1}", STORAGEOS_ERROR_CORRUPT},
		{"{\"format\": 1, \"name\": \"db\"}", STORAGEOS_ERROR_CORRUPT},
		{"{\"format\": 1, \"uuid\": \"" UUID "\"}", STORAGEOS_ERROR_CORRUPT},
		{"{\"format\": 1, \"name\": \"db\", \"uuid\": \"7\"}", STORAGEOS_ERROR_CORRUPT},
		{"{\"format\": 1, \"name\": \"../db\", \"uuid\": \"" UUID "\"}",
		 STORAGEOS_ERROR_CORRUPT},
		{"{\"format\": 1, \"name\": 3, \"uuid\": \"" UUID "\"}", STORAGEOS_ERROR_CORRUPT},
	};
	g_autofree char *directory = new_directory();
	g_autofree char *path = g_build_filename(directory, POOL_MARKER, NULL);

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(GError) error = NULL;

		test_row("'%s'", rows[i].text);
		CHECK(g_file_set_contents(path, rows[i].text, -1, NULL));
		CHECK(!pool_marker_read(directory, &error));
		CHECK_ERROR(error, rows[i].code, path);
	}
}

static void test_no_marker(const void *data)
{
	g_autofree char *directory = new_directory();
	g_autofree char *path = g_build_filename(directory, POOL_MARKER, NULL);
	g_autofree char *long_text = g_strnfill(5000, ' ');
	g_autoptr(GError) none = NULL, too_long = NULL;

	(void)data;
	CHECK(!pool_marker_read(directory, &none));
	CHECK_ERROR(none, STORAGEOS_ERROR_NOT_FOUND, NULL);
	CHECK(g_file_set_contents(path, long_text, -1, NULL));
	CHECK(!pool_marker_read(directory, &too_long));
	CHECK(too_long && !g_error_matches(too_long, STORAGEOS_ERROR, STORAGEOS_ERROR_NOT_FOUND));
}

int main(int argc, char **argv)
{
	test_add("a marker is written once and read back", test_write_and_read, NULL);
	test_add("every pool has a UUID of its own", test_uuids_differ, NULL);
	test_add("a UUID is read in lower case", test_read_by_hand, NULL);
	test_add("a damaged marker is an error that names it", test_bad_markers, NULL);
	test_add("a missing marker is not a damaged one", test_no_marker, NULL);
	return test_run(argc, argv);
}
