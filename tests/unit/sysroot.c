/* SPDX-License-Identifier: Apache-2.0 */
#include "common/machine/sysroot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/error.h"
#include "tests/harness.h"

#define SECRET "outside\n"
#define INSIDE "inside\n"

/* A root directory and its surroundings:
 *
 *     DIR/secret, DIR/out/secret      must never be seen
 *     DIR/root/                       the root
 */
typedef struct {
	char *directory;
	Sysroot *sysroot;
} Tree;

static void put(const Tree *tree, const char *path, const char *text)
{
	g_autofree char *full = g_build_filename(tree->directory, path, NULL);
	g_autofree char *parent = g_path_get_dirname(full);

	g_mkdir_with_parents(parent, 0755);
	CHECK(g_file_set_contents(full, text, -1, NULL));
}

static void put_link(const Tree *tree, const char *path, const char *target)
{
	g_autofree char *full = g_build_filename(tree->directory, path, NULL);

	CHECK_INT(symlink(target, full), 0);
}

static void tree_init(Tree *tree)
{
	g_autofree char *sysroot = NULL;

	tree->directory = test_path("-tree");
	sysroot = g_build_filename(tree->directory, "root", NULL);
	put(tree, "secret", SECRET);
	put(tree, "out/secret", SECRET);
	put(tree, "root/file", INSIDE);
	put(tree, "root/a/b/file", INSIDE);
	tree->sysroot = sysroot_open(sysroot, NULL);
}

static void tree_clear(Tree *tree)
{
	sysroot_close(tree->sysroot);
	g_free(tree->directory);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Tree, tree_clear)

static const struct {
	const char *path;
	gboolean there;
} paths[] = {
	{"file", TRUE},
	{"/file", TRUE},
	{"//a/./b//file", TRUE},
	{"a/../file", TRUE},
	{"../../../file", TRUE},
	{"/..//../a/b/../../file", TRUE},
	{"absolute", TRUE},
	{"relative", TRUE},
	{"a/up", TRUE},
	{"directory/file", TRUE},
	{"chain1", TRUE},
	{"over/the/top", FALSE},
	{"file/", TRUE},
	{"file/x", FALSE},
	{"a", FALSE},
	{"", FALSE},
	{"../secret", FALSE},
	{"climbs", FALSE},
	{"climbs-far", FALSE},
	{"by-name", FALSE},
	{"out/secret", FALSE},
	{"self", FALSE},
	{"loop1", FALSE},
	{"loop1/file", FALSE},
	{"dangling", FALSE},
	{"fifo", FALSE},
	{"null", FALSE},
	{"a/none", FALSE},
};

static void make_links(const Tree *tree)
{
	g_autofree char *outside = g_build_filename(tree->directory, "out", NULL);
	g_autofree char *secret = g_build_filename(tree->directory, "secret", NULL);
	g_autofree char *fifo = g_build_filename(tree->directory, "root/fifo", NULL);

	put_link(tree, "root/absolute", "/a/b/file");
	put_link(tree, "root/relative", "a/b/file");
	put_link(tree, "root/a/up", "../../../file");
	put_link(tree, "root/directory", "/a/b/");
	put_link(tree, "root/chain1", "chain2");
	put_link(tree, "root/chain2", "/a/up");
	put_link(tree, "root/climbs", "../secret");
	put_link(tree, "root/climbs-far", "../../../../../../../../../../out/secret");
	put_link(tree, "root/by-name", secret);
	put_link(tree, "root/out", outside);
	put_link(tree, "root/self", "self");
	put_link(tree, "root/loop1", "loop2");
	put_link(tree, "root/loop2", "./loop1");
	put_link(tree, "root/dangling", "nowhere");
	put_link(tree, "root/null", "/../../dev/null");
	CHECK_INT(mkfifo(fifo, 0644), 0);
}

static void test_paths(const void *data G_GNUC_UNUSED)
{
	g_auto(Tree) tree = {0};

	tree_init(&tree);
	make_links(&tree);
	for (guint i = 0; i < G_N_ELEMENTS(paths); i++) {
		g_autoptr(GError) error = NULL;
		g_autofree char *text =
			sysroot_read(tree.sysroot, paths[i].path, 100, NULL, &error);

		test_row("%s", paths[i].path);
		CHECK_INT(text != NULL, paths[i].there);
		CHECK_INT(error == NULL, paths[i].there);
		if (text)
			CHECK_STR(text, INSIDE);
		CHECK_INT(sysroot_has_file(tree.sysroot, paths[i].path), paths[i].there);
	}
}

static void test_bounds(const void *data G_GNUC_UNUSED)
{
	g_auto(Tree) tree = {0};
	g_autoptr(GError) error = NULL;
	g_autofree char *exact = NULL;
	g_autofree char *longer = NULL;
	g_autofree char *name = g_strnfill(5000, 'x');
	g_autofree char *missing = NULL;
	gsize length = 0;

	tree_init(&tree);
	exact = sysroot_read(tree.sysroot, "file", strlen(INSIDE), &length, NULL);
	CHECK_STR(exact, INSIDE);
	CHECK_UINT(length, strlen(INSIDE));
	longer = sysroot_read(tree.sysroot, "file", strlen(INSIDE) - 1, NULL, &error);
	CHECK(!longer);
	CHECK_ERROR(error, STORAGEOS_ERROR_INVALID, "6 bytes at most");
	g_clear_error(&error);
	missing = sysroot_read(tree.sysroot, "none", 10, NULL, &error);
	CHECK(!missing);
	CHECK_ERROR(error, STORAGEOS_ERROR_NOT_FOUND, "read none");
	CHECK(!sysroot_has_file(tree.sysroot, name));
	CHECK(!sysroot_has_file(NULL, "file"));
}

/* Forty links of any length are followed, and no more. */
static void test_many_links(const void *data G_GNUC_UNUSED)
{
	g_auto(Tree) tree = {0};

	tree_init(&tree);
	put_link(&tree, "root/l0", "file");
	for (guint i = 1; i < 60; i++) {
		g_autofree char *name = g_strdup_printf("root/l%u", i);
		g_autofree char *target = g_strdup_printf("././././l%u", i - 1);

		put_link(&tree, name, target);
	}
	CHECK(sysroot_has_file(tree.sysroot, "l39"));
	CHECK(!sysroot_has_file(tree.sysroot, "l40"));
	put_link(&tree, "root/grows", "grows/grows/grows/grows");
	CHECK(!sysroot_has_file(tree.sysroot, "grows"));
}

static void test_depth(const void *data G_GNUC_UNUSED)
{
	g_auto(Tree) tree = {0};
	g_autoptr(GString) path = g_string_new("root");

	tree_init(&tree);
	for (guint i = 0; i < 62; i++)
		g_string_append(path, "/d");
	g_string_append(path, "/file");
	put(&tree, path->str, INSIDE);
	CHECK(sysroot_has_file(tree.sysroot, path->str + strlen("root")));
	g_string_truncate(path, path->len - strlen("file"));
	g_string_append(path, "d/d/file");
	put(&tree, path->str, INSIDE);
	CHECK(!sysroot_has_file(tree.sysroot, path->str + strlen("root")));
}

static void test_list(const void *data G_GNUC_UNUSED)
{
	g_auto(Tree) tree = {0};
	g_autoptr(GPtrArray) names = NULL;
	g_autoptr(GPtrArray) none = NULL;
	g_autoptr(GPtrArray) outside = NULL;
	static const char *const wanted[] = {"a", "c", "file", "out"};

	tree_init(&tree);
	put(&tree, "root/c", "");
	put_link(&tree, "root/out", "../out");
	names = sysroot_list(tree.sysroot, "/");
	CHECK_UINT(names->len, G_N_ELEMENTS(wanted));
	for (guint i = 0; i < MIN(names->len, G_N_ELEMENTS(wanted)); i++)
		CHECK_STR((char *)g_ptr_array_index(names, i), wanted[i]);
	none = sysroot_list(tree.sysroot, "file");
	CHECK_UINT(none->len, 0);
	outside = sysroot_list(tree.sysroot, "out");
	CHECK_UINT(outside->len, 0);
}

/* The owner of the tree replaces a directory by a link to the outside, and back again. */
typedef struct {
	char *name, *link, *directory;
	gint stop;
} Swapper;

static gpointer swap(gpointer data)
{
	Swapper *swapper = data;

	while (!g_atomic_int_get(&swapper->stop)) {
		renameat2(AT_FDCWD, swapper->link, AT_FDCWD, swapper->name, RENAME_EXCHANGE);
		g_thread_yield();
	}
	return NULL;
}

static void test_race(const void *data G_GNUC_UNUSED)
{
	const guint rounds = test_is_instrumented() ? 2000 : 5000;
	g_auto(Tree) tree = {0};
	Swapper swapper = {0};
	GThread *thread;
	guint seen = 0;

	tree_init(&tree);
	put(&tree, "root/x/secret", INSIDE);
	put_link(&tree, "root/y", "../../out");
	swapper.name = g_build_filename(tree.directory, "root/x", NULL);
	swapper.link = g_build_filename(tree.directory, "root/y", NULL);
	thread = g_thread_new("swapper", swap, &swapper);
	for (guint i = 0; i < rounds; i++) {
		g_autofree char *text = sysroot_read(tree.sysroot, "x/secret", 100, NULL, NULL);

		seen += text != NULL;
		if (text && strcmp(text, INSIDE)) {
			FAIL("read '%s' in round %u", text, i);
			break;
		}
	}
	g_atomic_int_set(&swapper.stop, 1);
	g_thread_join(thread);
	CHECK(seen > 0);
	g_free(swapper.name);
	g_free(swapper.link);
}

static void test_no_root(const void *data G_GNUC_UNUSED)
{
	g_auto(Tree) tree = {0};
	g_autofree char *file = NULL;
	g_autoptr(GError) error = NULL;

	tree_init(&tree);
	file = g_build_filename(tree.directory, "secret", NULL);
	CHECK(!sysroot_open(file, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_NOT_FOUND, "Not a directory");
	g_clear_error(&error);
	CHECK(!sysroot_open("/nonexistent/root", &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_NOT_FOUND, "/nonexistent/root");
}

int main(int argc, char **argv)
{
	test_add("no path leads out of the root", test_paths, NULL);
	test_add("a read is bounded", test_bounds, NULL);
	test_add("links are followed as far as the kernel does", test_many_links, NULL);
	test_add("a tree is 64 directories deep at most", test_depth, NULL);
	test_add("a directory's names are sorted", test_list, NULL);
	test_add("a directory that is exchanged meanwhile leads nowhere else", test_race, NULL);
	test_add("only a directory can be a root", test_no_root, NULL);
	return test_run(argc, argv);
}
