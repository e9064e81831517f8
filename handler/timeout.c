/* SPDX-License-Identifier: Apache-2.0 */
#include "handler/timeout.h"

#include <errno.h>
#include <string.h>

#include "common/base/files.h"
#include "common/base/logging.h"

#define ATTRIBUTE "attrib/cmd_time_out"
#define DEFAULT "30" /* s */

static gboolean is_default(const char *directory)
{
	g_autofree char *text = files_get_attribute(directory, ATTRIBUTE);

	return text && !strcmp(g_strchug(text), DEFAULT);
}

static gboolean can_reset(const char *directory)
{
	g_autofree char *path = g_build_filename(directory, "action/reset_ring", NULL);

	return g_file_test(path, G_FILE_TEST_EXISTS);
}

void timeout_disable(const char *directory)
{
	if (!directory || !is_default(directory) || !can_reset(directory))
		return;
	if (!files_set_attribute(directory, ATTRIBUTE, "0"))
		log_warning("%s: cannot disable the kernel's time-out of " DEFAULT " s: %s",
			    directory, g_strerror(errno));
}
