/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freeze-probe DEVICE... -- DIRECTORY...
 *
 * Freezes what is mounted from the devices, as a snapshot does, and says meanwhile of each device
 * whether a frozen file system is on it, and of each directory whether its file system is frozen:
 *
 *     sda: holds one
 *     sdb: holds none
 *     /mnt/a: frozen
 *     /mnt/b: free
 *
 * What cannot be frozen ends it with status 1 and the reason.
 */
#include "cli/fs-freeze.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/service/config.h"

/* To freeze what is frozen already fails. */
static const char *state_of(const char *directory)
{
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const char *state = "free";

	if (fd < 0)
		return "not there";
	if (!ioctl(fd, FIFREEZE, 0))
		ioctl(fd, FITHAW, 0);
	else
		state = errno == EBUSY ? "frozen" : "cannot be frozen";
	close(fd);
	return state;
}

int main(int argc, char **argv)
{
	Config config = {.file = (char *)"/etc/none/storageos.conf",
			 .run_directory = (char *)"/run",
			 .state_directory = (char *)"/var/lib",
			 .pools = g_ptr_array_new()};
	g_autoptr(GPtrArray) devices = g_ptr_array_new();
	g_autoptr(GError) error = NULL;
	g_autoptr(GString) report = g_string_new(NULL);
	FsFreeze *freeze;
	int i = 1;

	for (; i < argc && strcmp(argv[i], "--") != 0; i++)
		g_ptr_array_add(devices, argv[i]);
	freeze = fs_freeze_begin(&config, devices, &error);
	if (!freeze) {
		printf("%s\n", error->message);
		return 1;
	}
	for (guint d = 0; d < devices->len; d++) {
		g_autofree char *name = g_path_get_basename(g_ptr_array_index(devices, d));

		g_string_append_printf(report, "%s: holds %s\n", name,
				       fs_freeze_holds(freeze, d) ? "one" : "none");
	}
	for (i++; i < argc; i++)
		g_string_append_printf(report, "%s: %s\n", argv[i], state_of(argv[i]));
	if (!fs_freeze_end(freeze))
		g_string_append(report, "the freeze ended too early\n");
	fputs(report->str, stdout);
	return 0;
}
