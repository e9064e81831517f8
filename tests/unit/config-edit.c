/* SPDX-License-Identifier: Apache-2.0 */
#include "common/service/config-edit.h"

#include <sys/stat.h>
#include <unistd.h>

#include "common/base/autofd.h"
#include "common/base/error.h"
#include "tests/harness.h"

#define UUID "1c1f4bd2-3a0e-4a43-8d2c-0f4a3c2e1b00"

static char *text_of(const char *file)
{
	char *text = NULL;

	CHECK(g_file_get_contents(file, &text, NULL, NULL));
	return text;
}

/* Adds pool p at /x to the text, or removes it. */
static void test_text(const void *data)
{
	static const struct {
		const char *before;
		const char *uuid; /* NULL: none */
		gboolean remove;
		const char *after;
	} rows[] = {
		{"", NULL, FALSE, "[pool p]\npath=/x\n"},
		{"", UUID, FALSE, "[pool p]\npath=/x\nuuid=" UUID "\n"},
		{"[storageos]\nworkers=2\n", NULL, FALSE,
		 "[storageos]\nworkers=2\n\n[pool p]\npath=/x\n"},
		{"[storageos]\nworkers=2", NULL, FALSE, /* no newline at the end */
		 "[storageos]\nworkers=2\n\n[pool p]\npath=/x\n"},
		{"[pool p]\npath=/old\nuuid=7\n", UUID, FALSE,
		 "[pool p]\npath=/x\nuuid=" UUID "\n"},
		{"[pool p]\n# mine\npath=/old\nmore=1\n[pool q]\npath=/q\n", NULL, FALSE,
		 "[pool p]\npath=/x\n# mine\nmore=1\n[pool q]\npath=/q\n"},
		{"[pool pp]\npath=/pp\n", NULL, FALSE,
		 "[pool pp]\npath=/pp\n\n[pool p]\npath=/x\n"},
		{"[pool p]\npath=/x\n", NULL, TRUE, ""},
		{"[pool p]\npath=/x\nmore=1\n# of q\n[pool q]\npath=/q\n", NULL, TRUE,
		 "# of q\n[pool q]\npath=/q\n"},
		{"[pool pp]\npath=/pp\n", NULL, TRUE, "[pool pp]\npath=/pp\n"},
		{"", NULL, TRUE, ""},
	};

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *file = test_path(".conf"), *after = NULL;
		const Config config = {.file = file};
		const ConfigPool pool = {
			.name = (char *)"p", .path = (char *)"/x", .uuid = (char *)rows[i].uuid};
		g_autoptr(GError) error = NULL;

		test_row("%u: '%s'", i, rows[i].before);
		CHECK(g_file_set_contents(file, rows[i].before, -1, NULL));
		CHECK(rows[i].remove ? config_remove_pool(&config, "p", &error)
				     : config_add_pool(&config, &pool, &error));
		CHECK_NO_ERROR(error);
		after = text_of(file);
		CHECK_STR(after, rows[i].after);
	}
}

static void test_ceph(const void *data)
{
	static const char before[] = "[pool p]\nrbd=old\nfailover=on\nceph_id=me\n";
	g_autofree char *file = test_path(".conf"), *after = NULL;
	const Config config = {.file = file};
	const ConfigPool pool = {.name = (char *)"p",
				 .path = (char *)"rbd:vms/one",
				 .ceph = TRUE,
				 .ceph_conf = (char *)"/etc/ceph/x.conf",
				 .uuid = (char *)UUID};
	g_autoptr(GError) error = NULL;

	(void)data;
	CHECK(g_file_set_contents(file, before, -1, NULL));
	CHECK(config_add_pool(&config, &pool, &error));
	CHECK_NO_ERROR(error);
	after = text_of(file);
	CHECK_STR(after, "[pool p]\nrbd=vms/one\nceph_conf=/etc/ceph/x.conf\nuuid=" UUID
			 "\nfailover=on\n");
}

static void test_refused(const void *data)
{
	static const struct {
		const char *before, *name, *path;
	} rows[] = {
		{"", "P", "/x"},		   /* not a name */
		{"", "p", "x"},			   /* not an absolute path */
		{"", "p", "/x "},		   /* would be read without its space */
		{"", "p", "/x\n"},		   /* the same */
		{"no configuration\n", "p", "/x"}, /* cannot be read */
	};

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *file = test_path(".conf"), *after = NULL;
		const Config config = {.file = file};
		const ConfigPool pool = {.name = (char *)rows[i].name,
					 .path = (char *)rows[i].path};
		g_autoptr(GError) error = NULL;

		test_row("%u: '%s' at '%s'", i, rows[i].name, rows[i].path);
		CHECK(g_file_set_contents(file, rows[i].before, -1, NULL));
		if (CHECK(!config_add_pool(&config, &pool, &error)))
			CHECK(error);
		after = text_of(file);
		CHECK_STR(after, rows[i].before);
	}
}

/* An editor holds the lock from before it reads the file. */
static void test_lock(const void *data)
{
	g_autofree char *run = test_path(".run");
	g_autofree char *path = g_build_filename(run, "lock", "_pools", NULL);
	const Config config = {.run_directory = run};
	g_autoptr(GError) error = NULL;

	(void)data;
	autofd lock = config_lock(&config, &error);
	CHECK_NO_ERROR(error);
	CHECK(lock >= 0);
	CHECK_INT(access(path, F_OK), 0);
	close(autofd_steal(&lock));
	lock = config_lock(&config, &error);
	CHECK_NO_ERROR(error);
	CHECK(lock >= 0);
}

int main(int argc, char **argv)
{
	test_add("of a pool of Ceph, its keys are changed and others stay", test_ceph, NULL);
	test_add("a pool's group, and nothing else, is added, changed and removed", test_text,
		 NULL);
	test_add("a value that would be read differently is not written", test_refused, NULL);
	test_add("the lock is taken, and free when its descriptor is closed", test_lock, NULL);
	return test_run(argc, argv);
}
