/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file system that was in use when its snapshot was taken has a journal to replay, which a device
 * that cannot be written refuses: xfs and ext4 are told not to.  xfs also refuses a UUID that is
 * mounted already.
 */
#include "cli/mount-hint.h"

#include <stdio.h>

#include "cli/bounded.h"
#include "cli/device-content.h"
#include "common/machine/kernel-modules.h"

#define ANSWER_SECONDS 10

static const struct {
	const char *type, *options;
} hints[] = {
	{"xfs", "ro,nouuid,norecovery"},
	{"ext4", "ro,noload"},
	{"ext3", "ro,noload"},
	{"btrfs", "ro,rescue=nologreplay"},
};

/* Newer kernels, which have `rescue`, no longer know the option of before. */
#define BTRFS_BEFORE_5_9 "ro,nologreplay"

/* Writes nothing where there is no file system. */
static void file_system_answer(gconstpointer path, int fd)
{
	g_autofree char *type = device_content_file_system(path);

	dprintf(fd, "%s", type ? type : "");
}

char *mount_hint_options(const char *path)
{
	g_autofree char *type = bounded_ask(file_system_answer, path, ANSWER_SECONDS);

	if (!type || !*type)
		return NULL;
	if (g_str_equal(type, "btrfs") && !kernel_is_at_least(5, 9))
		return g_strdup(BTRFS_BEFORE_5_9);
	for (guint i = 0; i < G_N_ELEMENTS(hints); i++)
		if (g_str_equal(type, hints[i].type))
			return g_strdup(hints[i].options);
	return g_strdup("ro");
}
