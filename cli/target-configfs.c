/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/target-configfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/process.h"
#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/files.h"
#include "common/service/pool.h"
#include "common/machine/runner-bus.h"

#define CORE "/sys/kernel/config/target/core"
#define LOOPBACK "/sys/kernel/config/target/loopback"
#define PORTAL_GROUP "tpgt_1"

/* The kernel removes an object only after the commands in flight are answered, which the plugin
 * does within 20 s. */
#define REMOVE_SECONDS 90
#define MAKE_SECONDS 60 /* the kernel asks the disk what it is */
#define ORDER_SECONDS 60

static gboolean is_directory(const char *path)
{
	return g_file_test(path, G_FILE_TEST_IS_DIR);
}

/* ---- backstores */

typedef gboolean (*BackstoreTest)(const char *directory, const char *name, gpointer data);

/* The directory of the first TCMU backstore that passes the test, or NULL.  Free the result. */
static char *backstore_find(BackstoreTest test, gpointer data)
{
	g_autoptr(GDir) hbas = g_dir_open(CORE, 0, NULL);
	const char *hba, *name;

	while (hbas && (hba = g_dir_read_name(hbas))) {
		g_autofree char *path = g_build_filename(CORE, hba, NULL);
		g_autoptr(GDir) stores =
			g_str_has_prefix(hba, "user_") ? g_dir_open(path, 0, NULL) : NULL;

		while (stores && (name = g_dir_read_name(stores))) {
			g_autofree char *directory = g_build_filename(path, name, NULL);

			if (is_directory(directory) && test(directory, name, data))
				return g_steal_pointer(&directory);
		}
	}
	return NULL;
}

static gboolean backstore_has_name(const char *directory, const char *name, gpointer wanted)
{
	(void)directory;
	return !strcmp(name, wanted);
}

char *target_backstore_find(const char *name)
{
	return backstore_find(backstore_has_name, (gpointer)name);
}

/* The volume named in a backstore's info, "... Config: storageos/default/db;create Size: ..."; NULL
 * if the backstore is not of our subtype. */
static char *volume_of_info(const char *info)
{
	const char *config = strstr(info, "Config: " RUNNER_SUBTYPE "/");
	g_autoptr(VolumeName) volume = NULL;
	g_autofree char *text = NULL;

	if (!config)
		return NULL;
	config = strchr(config, '/') + 1;
	text = g_strndup(config, strcspn(config, "; \n"));
	volume = volume_name_parse_any(text, NULL);
	return volume ? volume_name_format(volume) : NULL;
}

static gboolean backstore_has_volume(const char *directory, const char *name, gpointer wanted)
{
	g_autofree char *info = files_get_attribute(directory, "info");
	g_autofree char *volume = info ? volume_of_info(info) : NULL;

	(void)name;
	return !g_strcmp0(volume, wanted);
}

/* Adds the volume to a list; never passes, so that every backstore is visited. */
static gboolean backstore_add_volume(const char *directory, const char *name, gpointer volumes)
{
	g_autofree char *info = files_get_attribute(directory, "info");
	char *volume = info ? volume_of_info(info) : NULL;

	(void)name;
	if (volume)
		g_ptr_array_add(volumes, volume);
	return FALSE;
}

GPtrArray *target_volumes(void)
{
	GPtrArray *volumes = g_ptr_array_new_with_free_func(g_free);

	g_free(backstore_find(backstore_add_volume, volumes));
	return volumes;
}

char *target_backstore_of_volume(const char *volume)
{
	return backstore_find(backstore_has_volume, (gpointer)volume);
}

char *target_backstore_find_volume(const char *volume)
{
	g_autofree char *directory = target_backstore_of_volume(volume);

	return directory ? g_path_get_basename(directory) : NULL;
}

gboolean target_backstore_set_serial(const char *backstore, const char *serial, GError **error)
{
	return files_set_attribute(backstore, "wwn/vpd_unit_serial", serial) ||
	       error_set_errno(error, errno, "set the unit serial of %s", backstore);
}

/* One write to configfs or sysfs.  It blocks until the device's server answers, so a child makes
 * it. */
typedef struct {
	const char *path, *text;
} Order;

static int order_carry_out(gconstpointer data)
{
	const Order *order = data;
	gsize length = strlen(order->text);
	int fd = fd_open(order->path, O_WRONLY, 0), err = 0;

	if (fd < 0 || write(fd, order->text, length) != (ssize_t)length)
		err = errno ? errno : EIO;
	if (fd >= 0)
		close(fd);
	return err;
}

static gboolean order_give(const char *path, const char *text, GError **error)
{
	const Order order = {path, text};
	int err = process_call(order_carry_out, &order, ORDER_SECONDS);

	return !err || error_set_errno(error, err, "write %s to %s", text, path);
}

gboolean target_backstore_set_size(const char *backstore, guint64 size, GError **error)
{
	g_autofree char *path = g_build_filename(backstore, "attrib/dev_size", NULL);
	g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT, size);

	return order_give(path, text, error);
}

/* The SCSI disk driver's directory for a disk: the only entry of the directory `disks`. */
static char *scsi_disk(const char *disks)
{
	g_autoptr(GDir) dir = g_dir_open(disks, 0, NULL);
	const char *name = dir ? g_dir_read_name(dir) : NULL;

	return name ? g_build_filename(disks, name, NULL) : NULL;
}

/* When a disk with a write cache is removed, the kernel sends a flush, which a dead server never
 * answers.  So the kernel must believe that the disk has no write cache.  Setting the disk offline
 * fails the commands that were sent before. */
void target_silence(const char *device)
{
	g_autofree char *name = g_path_get_basename(device);
	g_autofree char *sys = g_build_filename("/sys/block", name, "device", NULL);
	g_autofree char *disks = g_build_filename(sys, "scsi_disk", NULL);
	g_autofree char *disk = scsi_disk(disks);

	if (disk && files_set_attribute(disk, "cache_type", "temporary write through"))
		files_set_attribute(sys, "state", "offline");
}

void target_abandon(const char *backstore)
{
	/* Otherwise the kernel waits for the server to confirm the removal over netlink. */
	files_set_attribute(backstore, "attrib/nl_reply_supported", "-1");
	/* Older kernels lack these actions.  There the commands end by their timeout of 30 s, which
	 * the plugin never switches off. */
	if (files_set_attribute(backstore, "action/block_dev", "1"))
		files_set_attribute(backstore, "action/reset_ring", "2");
}

/* ---- loopback targets */

char *target_loopback_find(const char *target_name)
{
	g_autofree char *path = g_build_filename(LOOPBACK, target_name, NULL);

	return is_directory(path) ? g_steal_pointer(&path) : NULL;
}

static gboolean link_leads_to(const char *link, const char *backstore)
{
	g_autofree char *target = realpath(link, NULL);
	g_autofree char *wanted = realpath(backstore, NULL);

	return target && !g_strcmp0(target, wanted);
}

gboolean target_loopback_has_lun(const char *target, const char *backstore)
{
	g_autofree char *lun = g_build_filename(target, PORTAL_GROUP, "lun", "lun_0", NULL);
	g_autoptr(GDir) dir = g_dir_open(lun, 0, NULL);
	const char *entry;

	while (dir && (entry = g_dir_read_name(dir))) {
		g_autofree char *link = g_build_filename(lun, entry, NULL);

		if (g_file_test(link, G_FILE_TEST_IS_SYMLINK) && link_leads_to(link, backstore))
			return TRUE;
	}
	return FALSE;
}

char *target_loopback_device(const char *target)
{
	g_autofree char *group = g_build_filename(target, PORTAL_GROUP, NULL);
	g_autofree char *address =
		files_get_attribute(group, "address"); /* "host:channel:target" */
	g_autofree char *blocks =
		address ? g_strdup_printf("/sys/bus/scsi/devices/%s:0/block", address) : NULL;
	g_autoptr(GDir) dir = blocks ? g_dir_open(blocks, 0, NULL) : NULL;
	const char *name = dir ? g_dir_read_name(dir) : NULL;
	g_autofree char *device = name ? g_build_filename("/dev", name, NULL) : NULL;

	return device && !access(device, F_OK) ? g_steal_pointer(&device) : NULL;
}

/* ---- from a disk to its volume */

/* "3:0:1:0": host, channel, target, LUN. */
static char *scsi_address(const char *disk)
{
	g_autofree char *link = g_build_filename("/sys/block", disk, "device", NULL);
	g_autofree char *target = g_file_read_link(link, NULL);

	return target ? g_path_get_basename(target) : NULL;
}

/* The volume of the backstore that the LUN links to, or NULL. */
static char *volume_of_lun(const char *lun)
{
	g_autoptr(GDir) dir = g_dir_open(lun, 0, NULL);
	char *volume = NULL;
	const char *entry;

	while (!volume && dir && (entry = g_dir_read_name(dir))) {
		g_autofree char *link = g_build_filename(lun, entry, NULL);
		g_autofree char *info = g_file_test(link, G_FILE_TEST_IS_SYMLINK)
						? files_get_attribute(link, "info")
						: NULL;

		volume = info ? volume_of_info(info) : NULL;
	}
	return volume;
}

/* The volume that a target shows at this SCSI address, or NULL.  A portal group's address is the
 * SCSI address without the LUN. */
static char *volume_in_target(const char *target, const char *address)
{
	g_autoptr(GDir) groups = g_dir_open(target, 0, NULL);
	const char *lun_number = strrchr(address, ':') + 1;
	gsize length = (gsize)(lun_number - address) - 1;
	char *volume = NULL;
	const char *name;

	while (!volume && groups && (name = g_dir_read_name(groups))) {
		g_autofree char *group = g_build_filename(target, name, NULL);
		g_autofree char *given = files_get_attribute(group, "address");
		g_autofree char *lun = g_strdup_printf("%s/lun/lun_%s", group, lun_number);

		if (given && strlen(given) == length && !strncmp(given, address, length))
			volume = volume_of_lun(lun);
	}
	return volume;
}

char *target_volume_of_disk(const char *disk)
{
	g_autofree char *address = scsi_address(disk);
	g_autoptr(GDir) targets = NULL;
	char *volume = NULL;
	const char *name;

	if (!address || !strchr(address, ':'))
		return NULL;
	targets = g_dir_open(LOOPBACK, 0, NULL);
	while (!volume && targets && (name = g_dir_read_name(targets))) {
		g_autofree char *target = g_build_filename(LOOPBACK, name, NULL);

		volume = volume_in_target(target, address);
	}
	return volume;
}

char *target_disk_of_volume(const char *volume)
{
	g_autoptr(GDir) dir = g_dir_open("/sys/block", 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *shown =
			g_str_has_prefix(name, "sd") ? target_volume_of_disk(name) : NULL;

		if (!g_strcmp0(shown, volume))
			return g_build_filename("/dev", name, NULL);
	}
	return NULL;
}

gboolean target_rescan(const char *volume, GError **error)
{
	g_autoptr(GDir) dir = g_dir_open("/sys/block", 0, NULL);
	gboolean done = TRUE;
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename("/sys/block", name, "device/rescan", NULL);
		g_autofree char *shown =
			g_str_has_prefix(name, "sd") ? target_volume_of_disk(name) : NULL;

		if (!g_strcmp0(shown, volume))
			done = order_give(path, "1", done ? error : NULL) && done;
	}
	return done;
}

/* ---- making and removing, in a child process: see process_call() for what is allowed there */

#define PATH_ROOM 1024

typedef struct {
	const char *name, *backstore;
} NewLoopback;

static int object_make(const char *path)
{
	return mkdir(path, 0755) ? errno : 0;
}

/* Begins the initiator's session with itself, or ends it: "NULL". */
static int group_set_nexus(const char *group, const char *name)
{
	char path[PATH_ROOM + NAME_MAX];
	int fd, err;

	g_snprintf(path, sizeof path, "%s/nexus", group);
	fd = fd_open(path, O_WRONLY, 0);
	if (fd < 0)
		return errno;
	err = write(fd, name, strlen(name)) < 0 ? errno : 0;
	close(fd);
	return err;
}

/* The disk appears with the link. */
static int loopback_make(gconstpointer data)
{
	const NewLoopback *new = data;
	char target[PATH_ROOM], group[PATH_ROOM], lun[PATH_ROOM], link[PATH_ROOM];
	int err;

	g_snprintf(target, sizeof target, LOOPBACK "/%s", new->name);
	g_snprintf(group, sizeof group, LOOPBACK "/%s/" PORTAL_GROUP, new->name);
	g_snprintf(lun, sizeof lun, LOOPBACK "/%s/" PORTAL_GROUP "/lun/lun_0", new->name);
	g_snprintf(link, sizeof link, LOOPBACK "/%s/" PORTAL_GROUP "/lun/lun_0/storageos",
		   new->name);
	err = object_make(LOOPBACK);
	if (!err || err == EEXIST)
		err = object_make(target);
	if (!err)
		err = object_make(group);
	if (!err)
		err = group_set_nexus(group, new->name);
	if (!err)
		err = object_make(lun);
	return err || !symlink(new->backstore, link) ? err : errno;
}

/* In configfs, rmdir() removes an object with the attributes that the kernel made in it, once its
 * links (unlink()) and the objects below it are removed. */
static int lun_remove_links(const char *directory)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;
	int err = 0;

	if (!dir)
		return errno == ENOENT ? 0 : errno;
	while (!err && (entry = readdir(dir)))
		if (entry->d_type == DT_LNK && unlinkat(dirfd(dir), entry->d_name, 0))
			err = errno;
	closedir(dir);
	return err;
}

static int object_remove(const char *path)
{
	return rmdir(path) && errno != ENOENT ? errno : 0;
}

/* Removes the LUNs of a portal group, each after its links. */
static int group_remove_luns(const char *group)
{
	char luns[PATH_ROOM], lun[PATH_ROOM + NAME_MAX + 2];
	struct dirent *entry;
	int err = 0;
	DIR *dir;

	g_snprintf(luns, sizeof luns, "%s/lun", group);
	dir = opendir(luns);
	if (!dir)
		return errno == ENOENT ? 0 : errno;
	while (!err && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, "lun_", 4))
			continue;
		g_snprintf(lun, sizeof lun, "%s/%s", luns, entry->d_name);
		err = lun_remove_links(lun);
		if (!err)
			err = object_remove(lun);
	}
	closedir(dir);
	return err;
}

static int loopback_remove(gconstpointer data)
{
	const char *target = data;
	char group[PATH_ROOM];
	int err;

	g_snprintf(group, sizeof group, "%s/" PORTAL_GROUP, target);
	err = group_remove_luns(group);
	if (err)
		return err;
	group_set_nexus(group, "NULL"); /* which fails if there is no session */
	err = object_remove(group);
	return err ? err : object_remove(target);
}

static int backstore_remove(gconstpointer data)
{
	const char *backstore = data;
	char hba[PATH_ROOM];
	int err = object_remove(backstore);

	/* Removes the HBA if this was its last backstore; otherwise rmdir() fails. */
	g_strlcpy(hba, backstore, sizeof hba);
	if (!err && strrchr(hba, '/')) {
		*strrchr(hba, '/') = '\0';
		object_remove(hba);
	}
	return err;
}

static gboolean object_remove_bounded(int (*function)(gconstpointer), const char *path,
				      GError **error)
{
	int err = strlen(path) + NAME_MAX < PATH_ROOM ? process_call(function, path, REMOVE_SECONDS)
						      : ENAMETOOLONG;

	return !err || error_set_errno(error, err, "remove %s", path);
}

gboolean target_loopback_make(const char *name, const char *backstore, GError **error)
{
	const NewLoopback new = {name, backstore};
	int err = sizeof LOOPBACK + strlen(name) + NAME_MAX < PATH_ROOM
			  ? process_call(loopback_make, &new, MAKE_SECONDS)
			  : ENAMETOOLONG;

	return !err || error_set_errno(error, err, "make the loopback target %s", name);
}

gboolean target_loopback_remove(const char *target, GError **error)
{
	return object_remove_bounded(loopback_remove, target, error);
}

gboolean target_backstore_remove(const char *backstore, GError **error)
{
	return object_remove_bounded(backstore_remove, backstore, error);
}
