/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/loop-device.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Another test may take the number between our asking for it and our using it. */
#define ATTEMPTS 20

static gboolean attach(int device, int file)
{
	struct loop_info64 info = {.lo_flags = LO_FLAGS_AUTOCLEAR};

	if (ioctl(device, LOOP_SET_FD, file) < 0)
		return FALSE;
	if (!ioctl(device, LOOP_SET_STATUS64, &info))
		return TRUE;
	ioctl(device, LOOP_CLR_FD, 0);
	return FALSE;
}

static int attach_free_one(int control, int file, char **ret_path)
{
	for (guint i = 0; i < ATTEMPTS; i++) {
		g_autofree char *path = NULL;
		int number = ioctl(control, LOOP_CTL_GET_FREE), device;

		if (number < 0)
			return -1;
		path = g_strdup_printf("/dev/loop%d", number);
		device = open(path, O_RDWR | O_CLOEXEC);
		if (device >= 0 && attach(device, file)) {
			*ret_path = g_steal_pointer(&path);
			return device;
		}
		if (device >= 0)
			close(device);
		g_usleep(10000);
	}
	return -1;
}

int loop_device_new(const char *file, char **ret_path)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int fd = open(file, O_RDWR | O_CLOEXEC);
	int device = -1;

	if (control >= 0 && fd >= 0)
		device = attach_free_one(control, fd, ret_path);
	if (control >= 0)
		close(control);
	if (fd >= 0)
		close(fd);
	return device;
}
