/* SPDX-License-Identifier: Apache-2.0 */
#include "common/service/control-address.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/autofd.h"
#include "common/base/error.h"
#include "common/base/names.h"
#include "tests/harness.h"

static Config config_new(void)
{
	return (Config){.run_directory = test_path(".run")};
}

static void test_directory_is_its_owners(const void *data)
{
	Config config = config_new();
	g_autofree char *run = config.run_directory;
	g_autofree char *path = g_build_filename(run, "control", NULL);
	g_autoptr(GError) error = NULL;
	struct stat st, opened;

	(void)data;
	CHECK_INT(control_directory_open(&config), -1);
	CHECK_INT(errno, ENOENT);
	autofd made = control_directory_make(&config, &error);
	CHECK_NO_ERROR(error);
	REQUIRE(made >= 0);
	CHECK_INT(stat(path, &st), 0);
	CHECK_UINT(st.st_mode & 07777, 0700);
	CHECK(fcntl(made, F_GETFD) & FD_CLOEXEC);
	test_row("made again");
	autofd again = control_directory_make(&config, &error);
	CHECK(again >= 0 && !fstat(again, &opened));
	CHECK_UINT(opened.st_ino, st.st_ino);
	test_row("opened");
	autofd open = control_directory_open(&config);
	CHECK(open >= 0 && !fstat(open, &opened));
	CHECK_UINT(opened.st_ino, st.st_ino);
}

static void test_file_in_place(const void *data)
{
	Config config = config_new();
	g_autofree char *run = config.run_directory;
	g_autofree char *path = g_build_filename(run, "control", NULL);
	g_autoptr(GError) error = NULL, list_error = NULL;

	(void)data;
	CHECK_INT(mkdir(run, 0700), 0);
	CHECK(g_file_set_contents(path, "", 0, NULL));
	CHECK_INT(control_directory_make(&config, &error), -1);
	CHECK(error);
	CHECK_INT(control_directory_open(&config), -1);
	CHECK(!control_list(&config, &list_error));
	CHECK_ERROR(list_error, STORAGEOS_ERROR_IO, path);
}

/* The run directory's path may be longer than an address. */
static void test_address_of_long_path(const void *data)
{
	g_autofree char *top = test_path(".run"), *deep = g_strnfill(120, 'd');
	g_autofree char *run = g_build_filename(top, deep, deep, NULL);
	const Config config = {.run_directory = run};
	g_autofree char *name = g_strnfill(NAME_LENGTH_MAX, 'n');
	g_autofree char *path = g_build_filename(run, "control", name, NULL);
	struct sockaddr_un address;
	struct stat st;

	(void)data;
	CHECK_INT(g_mkdir_with_parents(run, 0700), 0);
	autofd directory = control_directory_make(&config, NULL);
	REQUIRE(directory >= 0);
	control_address(directory, name, &address);
	CHECK_INT(address.sun_family, AF_UNIX);
	CHECK_CONTAINS(address.sun_path, name);
	autofd fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK_INT(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	CHECK(!lstat(path, &st) && S_ISSOCK(st.st_mode));
}

static void test_names(const void *data)
{
	static const struct {
		const char *pool, *name, *socket, *snapshot;
	} rows[] = {
		{"default", "db", "default:db", NULL},
		{"a", "b.c-d_e", "a:b.c-d_e", NULL},
		{NULL, "/dev/sdb", ":dev:sdb", NULL},
		{NULL, "/dev/disk/by-id/x", ":dev:disk:by-id:x", NULL},
		{"default", "db", "default:db@monday", "monday"},
	};

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		const VolumeName name = {.pool = (char *)rows[i].pool,
					 .name = (char *)rows[i].name,
					 .snapshot = (char *)rows[i].snapshot};
		g_autofree char *socket = control_name(&name);

		g_autofree char *text = volume_name_format(&name);
		g_autofree char *volume = control_name_volume(socket);

		CHECK_STR(socket, rows[i].socket);
		CHECK_STR(volume, text);
	}
}

static void test_foreign_names(const void *data)
{
	static const char *const rows[] = {
		"db",
		"core.123",
		"README",
		"default:db~",
		"default:db.swp:x",
		"default:db@",
		"default:",
		":",
		"~",
		"default:db~0123456789abcdef0123",
		":dev::sdb",
		"default:nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn~0123456789abcdef012G",
	};

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *volume = control_name_volume(rows[i]);

		test_row("%s", rows[i]);
		CHECK_STR(volume, NULL);
	}
}

/* Long names are cut, and remain different. */
static void test_long_names(const void *data)
{
	g_autofree char *pool = g_strnfill(NAME_LENGTH_MAX, 'p');
	char one[NAME_LENGTH_MAX + 1], two[NAME_LENGTH_MAX + 1];
	g_autofree char *a = NULL, *b = NULL, *again = NULL, *volume = NULL;

	(void)data;
	memset(one, 'n', NAME_LENGTH_MAX);
	one[NAME_LENGTH_MAX] = '\0';
	g_strlcpy(two, one, sizeof two);
	two[NAME_LENGTH_MAX - 1] = 'm';
	a = control_name(&(VolumeName){.pool = pool, .name = one});
	b = control_name(&(VolumeName){.pool = pool, .name = two});
	again = control_name(&(VolumeName){.pool = pool, .name = one});
	CHECK(strlen(a) <= NAME_LENGTH_MAX && strlen(b) <= NAME_LENGTH_MAX);
	CHECK(strcmp(a, b) != 0);
	CHECK_STR(a, again);
	volume = control_name_volume(a);
	CHECK_STR(volume, "pppppppppppppppppppppppppppppppppppppppp");
	CHECK(!strchr(a, '/'));
}

static void test_list(const void *data)
{
	static const char *const files[] = {"default:b", "default:a", ".12.7"};
	Config config = config_new();
	g_autofree char *run = config.run_directory;
	g_autoptr(GPtrArray) none = control_list(&config, NULL), names = NULL;

	(void)data;
	REQUIRE(none);
	CHECK_UINT(none->len, 0); /* without the directory there is no server */
	autofd directory = control_directory_make(&config, NULL);
	REQUIRE(directory >= 0);
	for (guint i = 0; i < G_N_ELEMENTS(files); i++) {
		g_autofree char *path = g_build_filename(run, "control", files[i], NULL);

		CHECK(g_file_set_contents(path, "", 0, NULL));
	}
	names = control_list(&config, NULL);
	REQUIRE(names);
	REQUIRE(CHECK_UINT(names->len, 2)); /* the unfinished socket is not listed */
	CHECK_STR(g_ptr_array_index(names, 0), "default:a");
	CHECK_STR(g_ptr_array_index(names, 1), "default:b");
}

int main(int argc, char **argv)
{
	test_add("only its owner may enter the sockets' directory", test_directory_is_its_owners,
		 NULL);
	test_add("a file in the directory's place is an error", test_file_in_place, NULL);
	test_add("a socket's path may be longer than an address", test_address_of_long_path, NULL);
	test_add("a socket is named after its volume", test_names, NULL);
	test_add("other names are of no volume", test_foreign_names, NULL);
	test_add("long names are cut and stay different", test_long_names, NULL);
	test_add("sockets are listed in order, unfinished ones left out", test_list, NULL);
	return test_run(argc, argv);
}
