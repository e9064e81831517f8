/* SPDX-License-Identifier: Apache-2.0 */
#include "common/machine/libraries.h"

#include <unistd.h>

#include "tests/harness.h"

typedef struct {
	char *directory;
	Sysroot *sysroot;
} LibrariesRoot;

static void put(const LibrariesRoot *root, const char *path)
{
	g_autofree char *full = g_build_filename(root->directory, path, NULL);
	g_autofree char *parent = g_path_get_dirname(full);

	g_mkdir_with_parents(parent, 0755);
	CHECK(g_file_set_contents(full, "x", -1, NULL));
}

static void root_init(LibrariesRoot *root)
{
	root->directory = test_path("-root");
	put(root, "etc/hostname");
	root->sysroot = sysroot_open(root->directory, NULL);
}

static void root_clear(LibrariesRoot *root)
{
	sysroot_close(root->sysroot);
	g_free(root->directory);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(LibrariesRoot, root_clear)

/* One library alone in a root: the path at which it is found. */
static void test_places(const void *data)
{
	static const struct {
		const char *file;
		gboolean found;
	} rows[] = {
		{"/usr/lib64/libfuse3.so.3", TRUE},
		{"/lib64/libfuse3.so.3", TRUE},
		{"/usr/lib/libfuse3.so.3", TRUE},
		{"/lib/libfuse3.so.3", TRUE},
		{"/usr/local/lib64/libfuse3.so.3", TRUE},
		{"/usr/local/lib/libfuse3.so.3", TRUE},
		{"/usr/lib/x86_64-linux-gnu/libfuse3.so.3", TRUE},
		{"/lib/aarch64-linux-gnu/libfuse3.so.3", TRUE},
		{"/usr/lib/arm-linux-gnueabihf/libfuse3.so.3", TRUE},
		{"/usr/lib/tcmu-runner/libfuse3.so.3", FALSE},
		{"/opt/lib/libfuse3.so.3", FALSE},
		{"/usr/lib/libfuse3.so.3.10", FALSE},
		{"/usr/lib/libfuse3.so.3/inside", FALSE},
	};

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_auto(LibrariesRoot) root;
		g_autofree char *found = NULL;

		test_row("%s", rows[i].file);
		root_init(&root);
		put(&root, rows[i].file);
		found = libraries_find(root.sysroot, "libfuse3.so.3");
		CHECK_STR(found, rows[i].found ? rows[i].file : NULL);
	}
}

/* The directories for 64 bits come first: /usr/lib may have libraries of another word size. */
static void test_order(const void *data)
{
	g_auto(LibrariesRoot) root;
	g_autofree char *found = NULL;

	(void)data;
	root_init(&root);
	put(&root, "/usr/lib/libtcmu.so.2");
	put(&root, "/usr/lib64/libtcmu.so.2");
	found = libraries_find(root.sysroot, "libtcmu.so.2");
	CHECK_STR(found, "/usr/lib64/libtcmu.so.2");
}

/* A link to a library is one; a link to nothing is none. */
static void test_links(const void *data)
{
	g_auto(LibrariesRoot) root;
	g_autofree char *link = NULL, *dangling = NULL, *found = NULL;

	(void)data;
	root_init(&root);
	put(&root, "/usr/lib64/libtcmu.so.2.2");
	link = g_build_filename(root.directory, "usr/lib64/libtcmu.so.2", NULL);
	CHECK_INT(symlink("/usr/lib64/libtcmu.so.2.2", link), 0);
	dangling = g_build_filename(root.directory, "usr/lib64/libfuse.so.2", NULL);
	CHECK_INT(symlink("libfuse.so.2.9", dangling), 0);
	found = libraries_find(root.sysroot, "libtcmu.so.2");
	CHECK_STR(found, "/usr/lib64/libtcmu.so.2");
	g_free(found);
	found = libraries_find(root.sysroot, "libfuse.so.2");
	CHECK_STR(found, NULL);
}

static void test_no_root(const void *data)
{
	g_autofree char *found = libraries_find(NULL, "libc.so.6");

	(void)data;
	CHECK_STR(found, NULL);
}

int main(int argc, char **argv)
{
	test_add("where a library is found", test_places, NULL);
	test_add("directories for 64 bits come first", test_order, NULL);
	test_add("links", test_links, NULL);
	test_add("nothing without a root", test_no_root, NULL);
	return test_run(argc, argv);
}
