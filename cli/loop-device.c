/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/loop-device.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/base/autofd.h"
#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/files.h"
#include "common/base/logging.h"
#include "common/base/text.h"

/* Linux 5.8 */
#ifndef LOOP_CONFIGURE
#define LOOP_CONFIGURE 0x4C0A
struct loop_config {
	__u32 fd;
	__u32 block_size;
	struct loop_info64 info;
	__u64 reserved[8];
};
#endif

#define LOOP_MAJOR 7
#define ATTEMPTS 32
#define DETACH_SECONDS 10

/* ---- attaching */

/* The device that the kernel reports as free.  Makes its node where no udev does. */
static char *loop_find_free(GError **error)
{
	autofd control = fd_open("/dev/loop-control", O_RDWR, 0);
	int number = control < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE);
	char *path;

	if (number < 0) {
		error_set_errno(error, errno, "find a free loop device (/dev/loop-control)");
		return NULL;
	}
	path = g_strdup_printf("/dev/loop%d", number);
	if (access(path, F_OK) && errno == ENOENT)
		mknod(path, S_IFBLK | 0660, makedev(LOOP_MAJOR, number));
	return path;
}

/* Before Linux 5.8, setting up takes several calls.  Direct I/O may fail: older kernels and some
 * file systems lack it. */
static int loop_configure_in_steps(int loop, int file, const struct loop_config *config)
{
	if (ioctl(loop, LOOP_SET_FD, file))
		return errno;
	if (ioctl(loop, LOOP_SET_STATUS64, &config->info) ||
	    (config->block_size != 512 &&
	     ioctl(loop, LOOP_SET_BLOCK_SIZE, (unsigned long)config->block_size))) {
		int err = errno;

		ioctl(loop, LOOP_CLR_FD);
		return err;
	}
	ioctl(loop, LOOP_SET_DIRECT_IO, 1UL);
	return 0;
}

static int loop_configure(int loop, int file, const char *path, guint32 block_size)
{
	struct loop_config config = {.fd = (guint32)file, .block_size = block_size};

	config.info.lo_flags = LO_FLAGS_DIRECT_IO | LO_FLAGS_PARTSCAN;
	memcpy(config.info.lo_file_name, path,
	       text_whole_length(path, strnlen(path, sizeof config.info.lo_file_name - 1)));
	if (!ioctl(loop, LOOP_CONFIGURE, &config))
		return 0;
	return errno == EINVAL || errno == ENOTTY || errno == ENOSYS
		       ? loop_configure_in_steps(loop, file, &config)
		       : errno;
}

static char *loop_attribute(const char *name, const char *attribute)
{
	g_autofree char *directory = g_build_filename("/sys/block", name, "loop", NULL);

	return files_get_attribute(directory, attribute);
}

static void loop_check_direct_io(const char *device, const char *file)
{
	g_autofree char *name = g_path_get_basename(device);
	g_autofree char *dio = loop_attribute(name, "dio");

	if (dio && strcmp(dio, "1"))
		log_warning("%s: no direct I/O to %s: its data is cached twice", device, file);
}

/* The kernel makes a device read-only if its file is. */
char *loop_device_attach(const char *file, guint32 block_size, gboolean read_only, GError **error)
{
	autofd fd = fd_open(file, read_only ? O_RDONLY : O_RDWR, 0);
	int err = EBUSY;

	if (fd < 0) {
		error_set_errno(error, errno, "open %s", file);
		return NULL;
	}
	/* EBUSY: another process has taken the free device meanwhile. */
	for (guint i = 0; i < ATTEMPTS && err == EBUSY; i++) {
		g_autofree char *device = loop_find_free(error);

		if (!device)
			return NULL;
		autofd loop = fd_open(device, O_RDWR, 0);
		err = loop < 0 ? errno : loop_configure(loop, fd, file, block_size);
		if (err) {
			g_usleep(10000);
			continue;
		}
		loop_check_direct_io(device, file);
		return g_steal_pointer(&device);
	}
	error_set_errno(error, err, "set up a loop device over %s", file);
	return NULL;
}

/* ---- growing */

/* Makes the kernel's cached size of a FUSE file equal to `size`; the loop driver reads no further
 * than the cached size.  stat() asks the server, but the kernel discards the answer if a write ends
 * meanwhile, which under load may be every time.  ftruncate() always sets the cached size. */
static gboolean file_note_size(int fd, const char *file, guint64 size, GError **error)
{
	return !ftruncate(fd, (off_t)size) ||
	       error_set_errno(error, errno, "note the size of %s", file);
}

gboolean loop_device_grow(const char *device, const char *file, guint64 size, GError **error)
{
	autofd loop = fd_open(device, O_RDWR, 0);
	autofd fd = fd_open(file, O_RDWR, 0);
	guint64 now = 0;

	if (loop < 0 || fd < 0)
		return error_set_errno(error, errno, "open %s", loop < 0 ? device : file);
	if (!file_note_size(fd, file, size, error))
		return FALSE;
	if (ioctl(loop, LOOP_SET_CAPACITY, 0UL) || ioctl(loop, BLKGETSIZE64, &now))
		return error_set_errno(error, errno, "grow %s", device);
	return now == size ||
	       error_set(error, STORAGEOS_ERROR_IO,
			 "%s has %" G_GUINT64_FORMAT " bytes, not %" G_GUINT64_FORMAT, device, now,
			 size);
}

/* ---- finding */

/* Whether `backing` may be `file` after its file system was unmounted: the kernel then shows the
 * path within that file system. */
static gboolean backing_was_file(const char *backing, const char *file)
{
	g_autofree char *base = g_path_get_basename(file);
	g_autofree char *inside = g_strconcat("/", base, NULL);

	return !strcmp(backing, inside);
}

guint64 loop_device_sequence(const char *device)
{
	g_autofree char *name = g_path_get_basename(device);
	g_autofree char *directory = g_build_filename("/sys/block", name, NULL);
	g_autofree char *text = files_get_attribute(directory, "diskseq");

	return text ? g_ascii_strtoull(text, NULL, 10) : 0;
}

char *loop_device_find(const char *file, const char *hint, guint64 sequence)
{
	g_autoptr(GDir) dir = g_dir_open("/sys/block", 0, NULL);
	gboolean same = hint && (!sequence || sequence == loop_device_sequence(hint));
	g_autofree char *hinted = same ? g_path_get_basename(hint) : NULL;
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *backing = g_str_has_prefix(name, "loop")
						   ? loop_attribute(name, "backing_file")
						   : NULL;

		if (backing && (!strcmp(backing, file) ||
				(!g_strcmp0(name, hinted) && backing_was_file(backing, file))))
			return g_build_filename("/dev", name, NULL);
	}
	return NULL;
}

char *loop_device_file(const char *name)
{
	return g_str_has_prefix(name, "loop") ? loop_attribute(name, "backing_file") : NULL;
}

/* ---- detaching */

static gboolean loop_is_free(const char *device)
{
	g_autofree char *name = g_path_get_basename(device);
	g_autofree char *backing = loop_attribute(name, "backing_file");

	return !backing;
}

gboolean loop_device_detach(const char *device, int claim, GError **error)
{
	gint64 end = g_get_monotonic_time() + DETACH_SECONDS * G_USEC_PER_SEC;
	int loop = claim >= 0 ? claim : fd_open(device, O_RDWR, 0);
	int err;

	if (loop < 0)
		return error_set_errno(error, errno, "open %s", device);
	err = ioctl(loop, LOOP_CLR_FD) ? errno : 0;
	close(loop);
	if (err && err != ENXIO)
		return error_set_errno(error, err, "detach %s", device);
	/* While the device is open elsewhere, the kernel detaches it only at the last close. */
	while (!loop_is_free(device)) {
		if (g_get_monotonic_time() > end)
			return error_set(error, STORAGEOS_ERROR_BUSY,
					 "%s stays attached: another process has it open", device);
		g_usleep(10000);
	}
	return TRUE;
}
