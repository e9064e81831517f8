/* SPDX-License-Identifier: Apache-2.0 */
#include "common/service/config.h"
#include "common/service/config-edit.h"

#include <sys/stat.h>
#include <unistd.h>

#include "common/base/autofd.h"
#include "common/base/error.h"
#include "common/base/files.h"
#include "common/base/logging.h"
#include "common/base/units.h"
#include "tests/harness.h"

/* ---- log lines */

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

/* Adds a pool to the file as it is on disk. */
static gboolean add_pool(const char *file, const char *name, const char *path, const char *uuid,
			 GError **error)
{
	g_autofree char *run = test_path(".run");
	Config config = {.file = (char *)file, .run_directory = run};
	const ConfigPool pool = {.name = (char *)name, .path = (char *)path, .uuid = (char *)uuid};

	autofd lock = config_lock(&config, error);
	return lock >= 0 && config_add_pool(&config, &pool, error);
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
	CHECK(!config_find_pool(config, "default")->listed);
	CHECK_STR(config->state_directory, "/var/lib/storageos");
	CHECK(!config_find_pool(config, "other"));
}

static void test_values(const void *data)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Config) config = load("# mine\n"
					"  ; and this, [pool x]\n"
					"[storageos]\n"
					"frontend = fuse\n"
					"run_directory=/tmp/run\n"
					"device_directory=/tmp/dev\n"
					"node_cache=1.5GiB\n"
					"sanitize_rate=8MiB\n"
					"workers=3\n"
					"state_directory=/tmp/state\n"
					"[pool fast]\n"
					"path=/fast\n"
					"uuid=1C1F4BD2-3a0e-4a43-8d2c-0f4a3c2e1b00\n"
					"[pool cloud]\n"
					"rbd=vms/one\n"
					"ceph_conf=/etc/ceph/other.conf\n"
					"ceph_id=storageos\n"
					"failover=on\n"
					"[pool default]\n"
					"path=/slow\n",
					&error);
	const ConfigPool *cloud;

	(void)data;
	REQUIRE(CHECK_NO_ERROR(error) && config);
	CHECK_INT(config->frontend, FRONTEND_FUSE);
	CHECK_STR(config->run_directory, "/tmp/run");
	CHECK_STR(config->device_directory, "/tmp/dev");
	CHECK_UINT(config->node_cache, GIB + GIB / 2);
	CHECK_UINT(config->sanitize_rate, 8 * MIB);
	CHECK_UINT(config->workers, 3);
	REQUIRE(CHECK_UINT(config->pools->len, 3));
	CHECK_STR(((ConfigPool *)g_ptr_array_index(config->pools, 0))->name, "default");
	cloud = config_find_pool(config, "cloud");
	REQUIRE(cloud && cloud->ceph);
	CHECK_STR(cloud->path, "rbd:vms/one");
	CHECK_STR(cloud->ceph_conf, "/etc/ceph/other.conf");
	CHECK_STR(cloud->ceph_id, "storageos");
	CHECK(cloud->failover);
	CHECK(!config_find_pool(config, "fast")->failover);
	CHECK(!config_find_pool(config, "fast")->ceph);
	CHECK_STR(config_find_pool(config, "default")->path, "/slow");
	CHECK_STR(config_find_pool(config, "fast")->path, "/fast");
	CHECK_STR(config_find_pool(config, "fast")->uuid, "1c1f4bd2-3a0e-4a43-8d2c-0f4a3c2e1b00");
	CHECK(!config_find_pool(config, "default")->uuid);
	CHECK_STR(config->state_directory, "/tmp/state");
}

static const struct {
	const char *text, *message;
} bad[] = {
	{"[storageos]\nfrontend=iscsi\n", "key 'frontend' of [storageos]: 'iscsi'"},
	{"[storageos]\nnode_cache=tiny\n", "key 'node_cache' of [storageos]: 'tiny'"},
	{"[storageos]\nnode_cache=1023KiB\n", "at least 1 MiB"},
	{"[storageos]\nsanitize_rate=1\n", "at least 1 MiB, or 0"},
	{"[storageos]\nworkers=-1\n", "key 'workers' of [storageos]: '-1'"},
	{"[storageos]\nworkers=257\n", "key 'workers'"},
	{"[storageos]\nrun_directory=here\n", "'here' is not an absolute path"},
	{"[pool x]\n", "path"},
	{"[pool x]\npath=relative\n", "key 'path' of [pool x]: 'relative'"},
	{"[storageos]\nstate_directory=here\n", "'here' is not an absolute path"},
	{"[pool x]\npath=/x\nrbd=x\n", "[pool x] has both of the keys path and rbd"},
	{"[pool x]\nuuid=1C1F4BD2-3a0e-4a43-8d2c-0f4a3c2e1b00\n", "none of the keys path and rbd"},
	{"[pool x]\nrbd=a/b/c\n", "key 'rbd' of [pool x]: 'a/b/c' is not POOL or POOL/NAMESPACE"},
	{"[pool x]\nrbd=a/\n", "'a/' is not POOL"},
	{"[pool x]\nrbd=\n", "'' is not POOL"},
	{"[pool x]\nrbd=a?conf=/x\n", "'a?conf=/x' is not POOL"},
	{"[pool x]\nrbd=a\nceph_conf=x\n", "'x' is not an absolute path"},
	{"[pool x]\nrbd=a\nceph_conf=/x&id=y\n", "is not a path without"},
	{"[pool x]\nrbd=a\nfailover=yes\n", "'yes' is not on or off"},
	{"[pool x]\npath=/x\nfailover=on\n", "failover, which only a pool of Ceph may have"},
	{"[pool x]\nrbd=a\nquota=1G\n", "quota, which a pool of Ceph cannot have"},
	{"[pool x]\npath=/x\nquota=1000\n", "'1000' is not a size of at least 1 MiB"},
	{"[pool x]\npath=/x\nwarn=90,80\n", "key 'warn' of [pool x]: '90,80' is not off, or"},
	{"[pool x]\npath=/x\nwarn=\n", "rising percentages"},
	{"[storageos]\nwarn=101\n", "rising percentages from 1 to 100"},
	{"[storageos]\nwarn=1,2,3,4,5,6,7,8,9\n", "up to 8 rising percentages"},
	{"[pool x]\nrbd=a\nceph_id=client/x\n", "is not a user of Ceph"},
	{"[pool x]\npath=/x\nuuid=7\n", "key 'uuid' of [pool x]: '7' is not a UUID"},
	{"[pool Up]\npath=/x\n", "invalid pool name 'Up'"},
	{"[pool ]\npath=/x\n", "invalid pool name ''"},
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

static void test_doubles(const void *data)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Config) config = NULL;

	(void)data;
	logged = g_string_new(NULL);
	logging_set_sink(sink);
	config = load("[storageos]\nworkers=1\n workers = 2\n[pool a]\npath=/a\n[pool a]\n"
		      "path=/b\n",
		      &error);
	logging_set_sink(NULL);
	REQUIRE(CHECK_NO_ERROR(error) && config);
	CHECK_UINT(config->workers, 2);
	CHECK_STR(config_find_pool(config, "a")->path, "/b");
	CHECK_CONTAINS(logged->str, "key 'workers' is given twice in [storageos]: the last");
	CHECK_CONTAINS(logged->str, "group [pool a] is given twice");
	CHECK_CONTAINS(logged->str, "key 'path' is given twice in [pool a]");
	g_string_free(logged, TRUE);
}

static void test_quiet(const void *data)
{
	g_autofree char *path = write_file("[storageos]\nfrontned=fuse\n");
	g_autoptr(Config) config = NULL;

	(void)data;
	logged = g_string_new(NULL);
	logging_set_sink(sink);
	config = config_load_quietly(path, NULL);
	logging_set_sink(NULL);
	CHECK(config && config->warnings->len == 1);
	CHECK_STR(logged->str, "");
	g_string_free(logged, TRUE);
}

/* After a crash, the file system below may leave a file of zero bytes. */
static void test_zero_bytes(const void *data)
{
	static const struct {
		const char *text;
		gsize length;
	} files[] = {
		{"\0\0\0\0", 4},
		{"[pool a]\npath=/a\n\0", 19},
		{"\0[pool a]\npath=/a\n", 19},
		{"\0", 1},
	};

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(files); i++) {
		g_autofree char *path = test_path(".conf");
		g_autoptr(GError) error = NULL, add_error = NULL;
		g_autofree char *text = NULL;
		gsize length;

		test_row("file %u", i);
		CHECK(g_file_set_contents(path, files[i].text, (gssize)files[i].length, NULL));
		CHECK(!config_load(path, &error));
		CHECK_ERROR(error, STORAGEOS_ERROR_INVALID, "is not text: byte");
		CHECK(!add_pool(path, "b", "/b", NULL, &add_error));
		CHECK(add_error && strstr(add_error->message, " is zero"));
		CHECK(g_file_get_contents(path, &text, &length, NULL));
		CHECK_UINT(length, files[i].length);
		CHECK_MEM(text, files[i].text, length);
	}
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
	CHECK(add_pool(path, "fast", "/fast", NULL, &error));
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
	CHECK(add_pool(path, "fast", "/new", NULL, NULL));
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
	CHECK(add_pool(path, "a", "/a", NULL, &error));
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
	CHECK(add_pool(link, "a", "/a", NULL, NULL));
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
	CHECK(!add_pool(path, "Bad Name", "/a", NULL, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_INVALID, "Bad Name");
	g_clear_error(&error);
	CHECK(!add_pool(path, "a", "relative", NULL, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_INVALID, "relative");
	g_clear_error(&error);
	CHECK(!add_pool(path, "a", "/a", NULL, &error));
	CHECK(error && strstr(error->message, path));
	text = content(path);
	CHECK_STR(text, "not a key file\n");
}

#define ADDERS 8

typedef struct {
	Config config;
	char name[8];
} Adder;

static gpointer add_one(gpointer data)
{
	const Adder *adder = data;
	const ConfigPool pool = {.name = (char *)adder->name, .path = (char *)"/x"};
	autofd lock = config_lock(&adder->config, NULL);

	CHECK(lock >= 0 && config_add_pool(&adder->config, &pool, NULL));
	return NULL;
}

static void test_add_at_once(const void *data)
{
	g_autofree char *path = write_file("");
	g_autofree char *run = test_path(".run");
	GThread *threads[ADDERS];
	Adder adders[ADDERS];
	g_autoptr(Config) config = NULL;

	(void)data;
	for (guint i = 0; i < ADDERS; i++) {
		adders[i].config = (Config){.file = path, .run_directory = run};
		g_snprintf(adders[i].name, sizeof adders[i].name, "p%u", i);
		threads[i] = g_thread_new(NULL, add_one, &adders[i]);
	}
	for (guint i = 0; i < ADDERS; i++)
		g_thread_join(threads[i]);
	config = config_load(path, NULL);
	REQUIRE(config);
	CHECK_UINT(config->pools->len, ADDERS + 1);
}

static void test_lock_is_its_owners(const void *data)
{
	g_autofree char *run = test_path(".run");
	g_autofree char *lock_file = g_build_filename(run, "lock", "_pools", NULL);
	const Config config = {.run_directory = run};
	autofd lock = config_lock(&config, NULL);
	struct stat st;

	(void)data;
	CHECK(lock >= 0);
	CHECK_INT(stat(lock_file, &st), 0);
	CHECK_UINT(st.st_mode & 07777, 0600);
}

/* Everything else that the owner wrote stays unchanged. */
static void test_edit_keeps_every_line(const void *data)
{
	static const char before[] = "; mine\n\n# and this\n[pool b]\n  path = /old  \n; why\n"
				     "uuid=11111111-1111-4111-8111-111111111111\n\n"
				     "# of c\n[pool c]\npath=/c\n";
	g_autofree char *path = write_file(before);
	Config config = {.file = path};
	g_autofree char *changed = NULL, *removed = NULL;

	(void)data;
	CHECK(add_pool(path, "b", "/new", "22222222-2222-4222-8222-222222222222", NULL));
	changed = content(path);
	CHECK_STR(changed, "; mine\n\n# and this\n[pool b]\npath=/new\n"
			   "uuid=22222222-2222-4222-8222-222222222222\n; why\n\n"
			   "# of c\n[pool c]\npath=/c\n");
	CHECK(config_remove_pool(&config, "b", NULL));
	removed = content(path);
	CHECK_STR(removed, "; mine\n\n# and this\n; why\n\n# of c\n[pool c]\npath=/c\n");
}

static const char *const written_paths[] = {"/a b", "/a\\b",	 "/a#b",  "/a;b",   "/a=b",
					    "/[a]", "/\xc3\xa4", "/\xff", "/a\\sb", "/a\\"};

static void test_paths_are_read_as_written(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(written_paths); i++) {
		g_autofree char *path = write_file("");
		g_autoptr(Config) config = NULL;
		g_autoptr(GError) error = NULL;

		test_row("%s", written_paths[i]);
		CHECK(add_pool(path, "p", written_paths[i], NULL, &error));
		CHECK_NO_ERROR(error);
		config = config_load(path, NULL);
		REQUIRE(config && config_find_pool(config, "p"));
		CHECK_STR(config_find_pool(config, "p")->path, written_paths[i]);
	}
}

static const char *const unwritable_paths[] = {"/a ", "/a\t", "/a\n"};

static void test_unreadable_paths_are_not_written(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(unwritable_paths); i++) {
		g_autofree char *path = write_file("# mine\n");
		g_autofree char *text = NULL;
		g_autoptr(GError) error = NULL;

		test_row("'%s'", unwritable_paths[i]);
		CHECK(!add_pool(path, "p", unwritable_paths[i], NULL, &error));
		CHECK(error != NULL);
		text = content(path);
		CHECK_STR(text, "# mine\n");
	}
}

int main(int argc, char **argv)
{
	test_add("an empty file gives the defaults", test_defaults, NULL);
	test_add("every key is read", test_values, NULL);
	test_add("a bad value is an error that names it", test_bad_values, NULL);
	test_add("an unknown key is a warning that names it", test_unknown_keys, NULL);
	test_add("a repeated key or group is a warning", test_doubles, NULL);
	test_add("a quiet load keeps its warnings to itself", test_quiet, NULL);
	test_add("zero bytes are an error, and stay as they are", test_zero_bytes, NULL);
	test_add("a file that was named must exist", test_named_file_must_exist, NULL);
	test_add("STORAGEOS_CONFIG names the file", test_variable_names_the_file, NULL);
	test_add("too long a file is refused unread", test_too_long, NULL);
	test_add("only a regular file is read, and nothing else waited for", test_no_regular_file,
		 NULL);
	test_add("a pool is added, everything else is kept", test_add_keeps_the_rest, NULL);
	test_add("a pool's path is changed", test_add_changes, NULL);
	test_add("the file is made, with its directory", test_add_makes_the_file, NULL);
	test_add("a link to the file stays a link", test_add_follows_a_link, NULL);
	test_add("nothing is written where it would be wrong", test_add_refuses, NULL);
	test_add("pools added at the same time are all there", test_add_at_once, NULL);
	test_add("another user cannot block the adding of a pool", test_lock_is_its_owners, NULL);
	test_add("every other line stays as it is", test_edit_keeps_every_line, NULL);
	test_add("a path is read as it was written", test_paths_are_read_as_written, NULL);
	test_add("a path that would be read differently is not written",
		 test_unreadable_paths_are_not_written, NULL);
	return test_run(argc, argv);
}
