/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A block device for tests.  It goes away by itself when the last descriptor of it is closed, also
 * when the test dies.
 */
#pragma once

#include <glib.h>

/* Makes one over `file`, which must be there.  Returns a descriptor that keeps it (to be closed),
 * and its path; -1 where this machine or user cannot. */
int loop_device_new(const char *file, char **ret_path);
