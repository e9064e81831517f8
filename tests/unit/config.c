/* SPDX-License-Identifier: Apache-2.0 */
#include "common/config.h"

#include <sys/stat.h>
#include <unistd.h>

#include "common/error.h"
#include "common/files.h"
#include "common/logging.h"
#include "common/units.h"
#include "tests/harness.h"

/* ---- what is logged */

static GString *logged;

static void sink(LoggingLevel level, const char *line)
{
	g_string_append_printf(logged, "%d %s\n", (int)level, line);
}

static char *write_file(const char *text)
{
	char *path = test_path(".conf");

	CHECK(g_file_set_contents(path, text, -1, NULL));
	return path;
}

static Config *load(const char *text, GError **error)
{
	g_autofree char *path = write_file(text);

	return config_load(path, error);
}

/* ---- loading */

static void test_defaults(const void *data)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Config) config = load("", &error);

	(void)data;
	REQUIRE(CHECK_NO_ERROR(error) && config);
	CHECK_INT(config->frontend, FRONTEND_AUTO);
	CHECK_STR(config->run_directory, "/run/storageos");
	CHECK_STR(config->device_directory, "/dev/storageos");
	CHECK_UINT(config->node_cache, 64 * MIB);
	CHECK_UINT(config->sanitize_rate, 0);
	CHECK_UINT(config->workers, 0);
	REQUIRE(CHECK_UINT(config->pools->len, 1));
	CHECK_STR(config_find_pool(config, "default")->path, "/var/lib/storageos/volumes");
	CHECK(!config_find_pool(config, "other"));
}

static void test_values(const void *data)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Config) config = load("# mine\n"
					"[storageos]\n"
					"frontend = fuse\n"
					"run_directory=/tmp/run\n"
					"device_directory=/tmp/dev\n"
					"node_cache=1.5GiB\n"
					"sanitize_rate=8MiB\n"
					"workers=3\n"
					"[pool fast]\n"
					"path=/fast\n"
					"[pool default]\n"
					"path=/slow\n",
					&error);

	(void)data;
	REQUIRE(CHECK_NO_ERROR(error) && config);
	CHECK_INT(config->frontend, FRONTEND_FUSE);
	CHECK_STR(config->run_directory, "/tmp/run");
	CHECK_STR(config->device_directory, "/tmp/dev");
	CHECK_UINT(config->node_cache, GIB + GIB / 2);
	CHECK_UINT(config->sanitize_rate, 8 * MIB);
	CHECK_UINT(config->workers, 3);
	REQUIRE(CHECK_UINT(config->pools->len, 2));
	CHECK_STR(((ConfigPool *)g_ptr_array_index(config->pools, 0))->name, "default");
	CHECK_STR(config_find_pool(config, "default")->path, "/slow");
	CHECK_STR(config_find_pool(config, "fast")->path, "/fast");
}

static const struct {
	const char *text, *message;
} bad[] = {
	{"[storageos]\nfrontend=iscsi\n", "key 'frontend' of [storageos]: 'iscsi'"},
	{"[storageos]\nnode_cache=tiny\n", "key 'node_cache' of [storageos]: 'tiny'"},
	{"[storageos]\nnode_cache=1023KiB\n", "1 MiB at least"},
	{"[storageos]\nsanitize_rate=1\n", "1 MiB at least, or 0"},
	{"[storageos]\nworkers=-1\n", "key 'workers' of [storageos]: '-1'"},
	{"[storageos]\nworkers=257\n", "key 'workers'"},
	{"[storageos]\nrun_directory=here\n", "'here' is not an absolute path"},
	{"[pool x]\n", "path"},
	{"[pool x]\npath=relative\n", "key 'path' of [pool x]: 'relative'"},
	{"[pool Up]\npath=/x\n", "'Up' is no name for a pool"},
	{"[pool ]\npath=/x\n", "is no name for a pool"},
	{"no group=1\n", "configuration "},
	{"[storageos\n", "configuration "},
};

static void test_bad_values(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) error = NULL;
		g_autoptr(Config) config = load(bad[i].text, &error);

		test_row("%s", bad[i].text);
		CHECK(!config);
		CHECK_ERROR(error, STORAGEOS_ERROR_INVALID, bad[i].message);
	}
}

static void test_unknown_keys(const void *data)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Config) config = NULL;

	(void)data;
	logged = g_string_new(NULL);
	logging_set_sink(sink);
	config = load("[storageos]\nfrontned=fuse\n[pool a]\npath=/a\nsize=3\n[other]\nx=1\n",
		      &error);
	logging_set_sink(NULL);
	CHECK_NO_ERROR(error);
	CHECK(config);
	CHECK_CONTAINS(logged->str, "unknown key 'frontned' in [storageos]");
	CHECK_CONTAINS(logged->str, "unknown key 'size' in [pool a]");
	CHECK_CONTAINS(logged->str, "unknown group [other]");
	g_string_free(logged, TRUE);
}

static void test_named_file_must_exist(const void *data)
{
	g_autofree char *path = test_path(".conf");
	g_autoptr(GError) error = NULL;
	g_autoptr(Config) config = config_load(path, &error);

	(void)data;
	CHECK(!config);
	CHECK_ERROR(error, STORAGEOS_ERROR_INVALID, path);
}

static void test_variable_names_the_file(const void *data)
{
	g_autofree char *path = write_file("[storageos]\nworkers=7\n");
	g_autoptr(GError) error = NULL;
	g_autoptr(Config) config = NULL;

	(void)data;
	g_setenv("STORAGEOS_CONFIG", path, TRUE);
	config = config_load(NULL, &error);
	g_unsetenv("STORAGEOS_CONFIG");
	REQUIRE(CHECK_NO_ERROR(error) && config);
	CHECK_UINT(config->workers, 7);
	CHECK_STR(config->file, path);
}

static void test_too_long(const void *data)
{
	g_autofree char *path = write_file("");
	g_autoptr(GError) error = NULL;

	(void)data;
	CHECK_INT(truncate(path, (off_t)FILES_TEXT_MAX + 1), 0);
	CHECK(!config_load(path, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_INVALID, "regular file of");
}

static void test_no_regular_file(const void *data)
{
	g_autofree char *path = test_path(".fifo");
	g_autoptr(GError) error = NULL;

	(void)data;
	CHECK_INT(mkfifo(path, 0600), 0);
	CHECK(!config_load(path, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_INVALID, path);
}

/* ---- adding a pool */

static char *content(const char *path)
{
	char *text = NULL;

	CHECK(g_file_get_contents(path, &text, NULL, NULL));
	return text;
}

static void test_add_keeps_the_rest(const void *data)
{
	g_autofree char *path = write_file("# first\n[storageos]\n# why\nworkers=2\n");
	g_autoptr(GError) error = NULL;
	g_autofree char *text = NULL;
	g_autoptr(Config) config = NULL;
	struct stat st;

	(void)data;
	CHECK_INT(chmod(path, 0640), 0);
	CHECK(config_add_pool(path, "fast", "/fast", &error));
	CHECK_NO_ERROR(error);
	text = content(path);
	CHECK_CONTAINS(text, "# first\n");
	CHECK_CONTAINS(text, "# why\nworkers=2\n");
	CHECK_CONTAINS(text, "[pool fast]\npath=/fast\n");
	CHECK_INT(stat(path, &st), 0);
	CHECK_UINT(st.st_mode & 07777, 0640);
	config = config_load(path, &error);
	REQUIRE(CHECK_NO_ERROR(error) && config);
	CHECK_STR(config_find_pool(config, "fast")->path, "/fast");
}

static void test_add_changes(const void *data)
{
	g_autofree char *path = write_file("[pool fast]\npath=/old\n");
	g_autofree char *text = NULL;

	(void)data;
	CHECK(config_add_pool(path, "fast", "/new", NULL));
	text = content(path);
	CHECK_STR(text, "[pool fast]\npath=/new\n");
}

static void test_add_makes_the_file(const void *data)
{
	g_autofree char *directory = test_path("");
	g_autofree char *path = g_build_filename(directory, "etc", "a.conf", NULL);
	g_autoptr(GError) error = NULL;
	g_autofree char *text = NULL;

	(void)data;
	CHECK(config_add_pool(path, "a", "/a", &error));
	CHECK_NO_ERROR(error);
	text = content(path);
	CHECK_STR(text, "[pool a]\npath=/a\n");
}

static void test_add_follows_a_link(const void *data)
{
	g_autofree char *path = write_file("# mine\n");
	g_autofree char *link = test_path(".link");
	g_autofree char *text = NULL;
	struct stat st;

	(void)data;
	CHECK_INT(symlink(path, link), 0);
	CHECK(config_add_pool(link, "a", "/a", NULL));
	CHECK_INT(lstat(link, &st), 0);
	CHECK(S_ISLNK(st.st_mode));
	text = content(path);
	CHECK_CONTAINS(text, "[pool a]");
}

static void test_add_refuses(const void *data)
{
	g_autofree char *path = write_file("not a key file\n");
	g_autoptr(GError) error = NULL;
	g_autofree char *text = NULL;

	(void)data;
	CHECK(!config_add_pool(path, "Bad Name", "/a", &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_INVALID, "Bad Name");
	g_clear_error(&error);
	CHECK(!config_add_pool(path, "a", "relative", &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_INVALID, "relative");
	g_clear_error(&error);
	CHECK(!config_add_pool(path, "a", "/a", &error));
	CHECK(error && strstr(error->message, path));
	text = content(path);
	CHECK_STR(text, "not a key file\n");
}

#define ADDERS 8

static gpointer add_one(gpointer data)
{
	const char *const *arguments = data;

	CHECK(config_add_pool(arguments[0], arguments[1], "/x", NULL));
	return NULL;
}

static void test_add_at_once(const void *data)
{
	g_autofree char *path = write_file("");
	GThread *threads[ADDERS];
	const char *arguments[ADDERS][2];
	char names[ADDERS][8];
	g_autoptr(Config) config = NULL;

	(void)data;
	for (guint i = 0; i < ADDERS; i++) {
		g_snprintf(names[i], sizeof names[i], "p%u", i);
		arguments[i][0] = path;
		arguments[i][1] = names[i];
		threads[i] = g_thread_new(NULL, add_one, arguments[i]);
	}
	for (guint i = 0; i < ADDERS; i++)
		g_thread_join(threads[i]);
	config = config_load(path, NULL);
	REQUIRE(config);
	CHECK_UINT(config->pools->len, ADDERS + 1);
}

int main(int argc, char **argv)
{
	test_add("an empty file gives the defaults", test_defaults, NULL);
	test_add("every key is read", test_values, NULL);
	test_add("a bad value is an error that names it", test_bad_values, NULL);
	test_add("an unknown key is a warning that names it", test_unknown_keys, NULL);
	test_add("a file that was named must exist", test_named_file_must_exist, NULL);
	test_add("STORAGEOS_CONFIG names the file", test_variable_names_the_file, NULL);
	test_add("too long a file is refused unread", test_too_long, NULL);
	test_add("what is no regular file is refused, and not waited for", test_no_regular_file,
		 NULL);
	test_add("a pool is added, all else is kept", test_add_keeps_the_rest, NULL);
	test_add("a pool's path is changed", test_add_changes, NULL);
	test_add("the file is made, with its directory", test_add_makes_the_file, NULL);
	test_add("a link to the file stays a link", test_add_follows_a_link, NULL);
	test_add("nothing is written where it would be wrong", test_add_refuses, NULL);
	test_add("pools added at the same time are all there", test_add_at_once, NULL);
	return test_run(argc, argv);
}
