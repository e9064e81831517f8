/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names of pools and volumes: [a-z0-9][a-z0-9._-]{0,62}.
 *
 * Such a name is a file name that is not hidden and never leads to another directory.  It needs no
 * quoting in cfgstrings, configfs, udev or a shell.
 */
#pragma once

#include <glib.h>

#define NAME_LENGTH_MAX 63u
#define NAME_RULE "1 to 63 lower-case letters, digits, '.', '_' or '-', the first a letter or digit"

/* FALSE for NULL, too. */
gboolean name_valid(const char *name);
