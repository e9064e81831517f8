/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a pool or a volume may be called: [a-z0-9][a-z0-9._-]{0,62}.
 *
 * So a name is a file name that hides nothing and climbs nowhere, and it passes unquoted through
 * cfgstrings, configfs, udev and a shell.
 */
#pragma once

#include <glib.h>

#define NAME_LENGTH_MAX 63u
#define NAME_RULE "1 to 63 lower-case letters, digits, '.', '_' or '-', the first a letter or digit"

gboolean name_valid(const char *name);
