/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/stacked.h"

#include <glib.h>
#include <sys/sysmacros.h>

#include "common/base/files.h"

char *stacked_on(dev_t device)
{
	g_autofree char *path =
		g_strdup_printf("/sys/dev/block/%u:%u/holders", major(device), minor(device));
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *holder = dir ? g_dir_read_name(dir) : NULL;
	g_autofree char *sys = holder ? g_build_filename("/sys/block", holder, NULL) : NULL;
	g_autofree char *name = sys ? files_get_attribute(sys, "dm/name") : NULL;

	if (!holder)
		return NULL;
	return name ? g_build_filename("/dev/mapper", name, NULL)
		    : g_build_filename("/dev", holder, NULL);
}
