/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration's text, for its readers and its writer: what GKeyFile makes of it, with
 * comments that begin with ';' as well, and its lines one by one.
 */
#pragma once

#include <glib.h>

#define CONFIG_GROUP_POOL "pool "

typedef enum { CONFIG_LINE_OTHER, CONFIG_LINE_GROUP, CONFIG_LINE_KEY } ConfigLineKind;

/* What a line begins; *ret_name is the group's or the key's name, to be freed, or NULL. */
ConfigLineKind config_line(const char *line, char **ret_name);

/* Reads it.  What is there twice is added to `warnings` (of texts; may be NULL). */
gboolean config_text_parse(const char *text, GKeyFile *file, GPtrArray *warnings, GError **error);

/* A value without blanks around it, which may be of any bytes but zero: a path is no text.  NULL
 * with INVALID where there is none, or an escape in it that is none.  Free the result. */
char *config_text_get(GKeyFile *file, const char *group, const char *key, GError **error);
