/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration's text, for its reader and its editor: parsing by GKeyFile, with ';' comments
 * as well, and the classification of single lines.
 */
#pragma once

#include <glib.h>

#define CONFIG_GROUP_POOL "pool "
#define CONFIG_GROUP_POLICY "policy "
#define CONFIG_GROUP_VOLUME "volume "

typedef enum { CONFIG_LINE_OTHER, CONFIG_LINE_GROUP, CONFIG_LINE_KEY } ConfigLineKind;

/* What kind of line it is.  *ret_name is the group's or the key's name, to be freed, or NULL. */
ConfigLineKind config_line(const char *line, char **ret_name);

/* Parses the text into `file`.  Repeated keys and groups are added to `warnings` (of char *; may be
 * NULL). */
gboolean config_text_parse(const char *text, GKeyFile *file, GPtrArray *warnings, GError **error);

/* A key's value, without surrounding blanks; it may hold any bytes but zero, as a path need not be
 * UTF-8.  NULL with an error if there is no such key, INVALID if it has an unknown escape.  Free
 * the result. */
char *config_text_get(GKeyFile *file, const char *group, const char *key, GError **error);
