/* SPDX-License-Identifier: Apache-2.0 */
#include "common/machine/mounts.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "tests/harness.h"

/* A table as the kernel prints it, with every escape, with no and several optional fields, and with
 * a truncated and a meaningless line. */
static const char mountinfo[] =
	"22 1 98:0 / / rw,relatime - ext4 /dev/root_disk rw\n"
	"23 22 0:5 / /dev rw,nosuid shared:2 - devtmpfs udev rw,size=1k\n"
	"24 22 0:21 / /sys/kernel/config rw - configfs configfs rw\n"
	"25 22 7:0 / /srv/a\\040b\\011c\\134d\\012e rw shared:1 master:2 - xfs /dev/loop0 rw\n"
	"26 22 0:40 /sub /srv/btrfs rw - btrfs /dev/mapper/x\\040y rw,subvolid=5\n"
	"27 22 0:41 / /run/mnt/v rw - fuse.storageos storageos:default/v rw,user_id=0\n"
	"28 22 0:42 / /run/mnt/w rw - ext4 /dev/vdb rw\n"
	"29 28 0:43 / /run/mnt/w rw - fuse.storageos storageos:default/w rw\n"
	"rubbish\n"
	"30 22 0:44 / /srv/deep - tmpfs\n"
	"31 22 0:45 / /srv/ram rw - ramfs none rw\n"
	"32 22 254:1 / /srv/last rw - ext4 /dev/vda1 rw\n";

static MountTable *load(const char *text)
{
	g_autofree char *path = test_path("-mountinfo");

	CHECK(g_file_set_contents(path, text, -1, NULL));
	return mounts_load(path);
}

static void test_types(const void *data G_GNUC_UNUSED)
{
	static const struct {
		const char *directory, *source, *type;
	} cases[] = {
		{"/", NULL, "ext4"},
		{"/srv/a b\tc\\d\ne", NULL, "xfs"},
		{"/srv/a", NULL, NULL},
		{"/run/mnt/v", NULL, "fuse.storageos"},
		{"/run/mnt/v", "storageos:default/v", "fuse.storageos"},
		{"/run/mnt/v", "storageos:default/w", NULL},
		{"/run/mnt/w", NULL, "fuse.storageos"},
		{"/run/mnt/w", "/dev/vdb", "ext4"},
		{"/run/mnt", NULL, NULL},
		{"/srv/last", NULL, "ext4"},
	};
	g_autoptr(MountTable) table = load(mountinfo);

	REQUIRE(table);
	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *type = mounts_type_at(table, cases[i].directory, cases[i].source);

		test_row("%s of %s", cases[i].directory, cases[i].source);
		CHECK_STR(type, cases[i].type);
	}
}

static void test_devices(const void *data G_GNUC_UNUSED)
{
	static const struct {
		guint major, minor;
		const char *path, *directory;
	} cases[] = {
		{7, 0, "/dev/loop0", "/srv/a b\tc\\d\ne"},
		{7, 0, "/dev/another-name", "/srv/a b\tc\\d\ne"},
		{253, 3, "/dev/mapper/x y", "/srv/btrfs"},
		{253, 3, "/dev/mapper/x", NULL},
		{254, 1, "/dev/vda1", "/srv/last"},
		{254, 2, "/dev/vda2", NULL},
	};
	g_autoptr(MountTable) table = load(mountinfo);

	REQUIRE(table);
	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *directory = mounts_of_device(
			table, makedev(cases[i].major, cases[i].minor), cases[i].path);

		test_row("%u:%u, %s", cases[i].major, cases[i].minor, cases[i].path);
		CHECK_STR(directory, cases[i].directory);
	}
}

/* What is mounted below, first; another name of the file system; not what was there before. */
static void test_upon(const void *data G_GNUC_UNUSED)
{
	static const char stacked[] = "22 1 98:0 / / rw - ext4 /dev/root rw\n"
				      "39 22 8:32 / /srv/hand rw - ext4 /dev/sdc rw\n"
				      "40 39 8:16 / /srv/hand rw - ext4 /dev/sdb rw\n"
				      "41 40 0:50 / /srv/hand/a rw - tmpfs none rw\n"
				      "42 41 0:51 / /srv/hand/a/b rw - tmpfs none rw\n"
				      "43 22 8:16 /sub /srv/bind rw - ext4 /dev/sdb rw\n"
				      "44 22 0:52 / /srv/handy rw - tmpfs none rw\n";
	static const char *const wanted[] = {"/srv/bind", "/srv/hand/a/b", "/srv/hand/a",
					     "/srv/hand"};
	g_autoptr(MountTable) table = load(stacked);
	g_autoptr(GPtrArray) directories = mounts_upon_device(table, makedev(8, 16), "/dev/sdb");
	g_autoptr(GPtrArray) none = mounts_upon_device(table, makedev(8, 48), "/dev/sdd");

	REQUIRE(directories->len == G_N_ELEMENTS(wanted));
	for (guint i = 0; i < directories->len; i++)
		CHECK_STR(g_ptr_array_index(directories, i), wanted[i]);
	CHECK(none->len == 0);
}

static void test_kinds(const void *data G_GNUC_UNUSED)
{
	g_autoptr(MountTable) table = load(mountinfo);
	g_autofree char *configfs = NULL, *none = NULL;

	REQUIRE(table);
	configfs = mounts_of_type(table, "configfs");
	none = mounts_of_type(table, "cifs");
	CHECK_STR(configfs, "/sys/kernel/config");
	CHECK_STR(none, NULL);
	CHECK(mounts_in_memory(table, 23));
	CHECK(mounts_in_memory(table, 31));
	CHECK(!mounts_in_memory(table, 22));
	CHECK(!mounts_in_memory(table, 27));
	CHECK(!mounts_in_memory(table, 99));
}

static void test_none(const void *data G_GNUC_UNUSED)
{
	g_autoptr(MountTable) missing = mounts_load("/nonexistent/mountinfo");
	g_autoptr(MountTable) ended = mounts_of_process("0");
	g_autoptr(MountTable) empty = load("");
	MountTable *const tables[] = {missing, ended, empty};

	CHECK(!missing);
	CHECK(!ended);
	for (guint i = 0; i < G_N_ELEMENTS(tables); i++) {
		g_autofree char *type = mounts_type_at(tables[i], "/", NULL);
		g_autofree char *directory = mounts_of_device(tables[i], makedev(1, 1), "/dev/x");

		CHECK_STR(type, NULL);
		CHECK_STR(directory, NULL);
		CHECK(!mounts_in_memory(tables[i], 22));
	}
}

/* The mount ID that the kernel reports for a descriptor is in the table. */
static void test_descriptor(const void *data G_GNUC_UNUSED)
{
	int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC), id = -1;
	g_autofree char *name = g_strdup_printf("%d", fd);
	g_autoptr(MountTable) table = mounts_of_process("self");

	REQUIRE(fd >= 0 && table);
	CHECK(mounts_of_descriptor("self", name, &id));
	CHECK(id > 0);
	CHECK(!mounts_in_memory(table, id));
	close(fd);
	CHECK(!mounts_of_descriptor("self", name, &id));
}

int main(int argc, char **argv)
{
	test_add("the type of the topmost mount of a directory", test_types, NULL);
	test_add("where a device is mounted, by number or by name", test_devices, NULL);
	test_add("what is to be unmounted of a device, in its order", test_upon, NULL);
	test_add("mounts by type, and those in memory", test_kinds, NULL);
	test_add("a missing table is an empty table", test_none, NULL);
	test_add("the mount of a descriptor", test_descriptor, NULL);
	return test_run(argc, argv);
}
