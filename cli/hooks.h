/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Executables that the administrator has put into a directory beside the configuration's file.
 */
#pragma once

#include "common/service/config.h"

/* The paths (of char *) of the executables in that directory, such as /etc/storageos/snapshot.d,
 * with names of letters, digits, '-' and '_', in the order of their names.  Free with
 * g_ptr_array_unref(). */
GPtrArray *hooks_find(const Config *config, const char *directory);
