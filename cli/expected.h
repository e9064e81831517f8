/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The volumes that this machine is configured to serve after a boot: those of an enabled unit
 * storageos-attach@, and those of a backstore in the target's saved configuration.
 */
#pragma once

#include <glib.h>

/* Their names (VolumeName *), each once; a snapshot is listed by its name.  Does not look whether
 * they exist.  What cannot be read is left out.  Free with g_ptr_array_unref(). */
GPtrArray *expected_volumes(void);

/* What `systemd-escape --unescape` makes of the instance of a unit; NULL if it is not the escaped
 * form of any text.  Free the result. */
char *expected_unescape(const char *instance);
