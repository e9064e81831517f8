/* SPDX-License-Identifier: Apache-2.0 */
#include "handler/cfgstring.h"

#include <string.h>

#include "common/base/error.h"
#include "common/base/text.h"

/* Sets what a key stands for, which is given without a value if none is wanted. */
static gboolean cfgstring_set(gboolean *flag, const char *key, const char *value,
			      const char *wanted, GError **error)
{
	if (!wanted && value)
		return error_set(error, STORAGEOS_ERROR_INVALID, "the key '%s' takes no value",
				 key);
	if (g_strcmp0(value, wanted) != 0)
		return error_set(error, STORAGEOS_ERROR_INVALID, "the key '%s' can only be %s=%s",
				 key, key, wanted);
	if (*flag)
		return error_set(error, STORAGEOS_ERROR_INVALID, "the key '%s' is given twice",
				 key);
	*flag = TRUE;
	return TRUE;
}

static gboolean cfgstring_parse_key(CfgString *cfgstring, const char *text, GError **error)
{
	g_autofree char *key = g_strndup(text, strcspn(text, "="));
	const char *value = text[strlen(key)] ? text + strlen(key) + 1 : NULL;

	if (strcmp(key, "create") == 0)
		return cfgstring_set(&cfgstring->create, key, value, NULL, error);
	if (strcmp(key, "write_cache") == 0)
		return cfgstring_set(&cfgstring->write_through, key, value, "off", error);
	if (strcmp(key, "read_only") == 0)
		return cfgstring_set(&cfgstring->read_only, key, value, NULL, error);
	return error_set(error, STORAGEOS_ERROR_INVALID,
			 "unknown key '%s' (known: create, read_only, write_cache)", key);
}

static CfgString *cfgstring_parse_text(const char *text, GError **error)
{
	g_autoptr(CfgString) cfgstring = g_new0(CfgString, 1);
	g_auto(GStrv) parts = NULL;

	/* The runner finds a handler by comparing the text up to the slash as a prefix, so
	 * "stor/db" gets here, too. */
	if (!g_str_has_prefix(text, CFGSTRING_SUBTYPE "/")) {
		error_set(error, STORAGEOS_ERROR_INVALID,
			  "it does not start with '" CFGSTRING_SUBTYPE "/'");
		return NULL;
	}
	parts = g_strsplit(text + strlen(CFGSTRING_SUBTYPE "/"), ";", -1);
	cfgstring->volume = volume_name_parse_any(parts[0] ? parts[0] : "", error);
	if (!cfgstring->volume)
		return NULL;
	for (guint i = 1; parts[0] && parts[i]; i++) {
		if (!cfgstring_parse_key(cfgstring, parts[i], error))
			return NULL;
	}
	if (cfgstring->create && cfgstring->volume->snapshot) {
		error_set(error, STORAGEOS_ERROR_INVALID,
			  "a snapshot is not created here (storageos snapshot create)");
		return NULL;
	}
	if (cfgstring->create && cfgstring->read_only) {
		error_set(error, STORAGEOS_ERROR_INVALID,
			  "the keys 'create' and 'read_only' exclude each other");
		return NULL;
	}
	return g_steal_pointer(&cfgstring);
}

CfgString *cfgstring_parse(const char *text, GError **error)
{
	g_autofree char *shown = NULL;
	CfgString *cfgstring = NULL;

	if (strlen(text) > CFGSTRING_MAX) {
		error_set(error, STORAGEOS_ERROR_INVALID,
			  "the cfgstring is longer than %d characters", CFGSTRING_MAX);
		return NULL;
	}
	cfgstring = cfgstring_parse_text(text, error);
	if (cfgstring)
		return cfgstring;
	shown = text_excerpt(text, CFGSTRING_MAX);
	g_prefix_error(error, "cfgstring '%s': ", shown);
	return NULL;
}

void cfgstring_free(CfgString *cfgstring)
{
	if (!cfgstring)
		return;
	volume_name_free(cfgstring->volume);
	g_free(cfgstring);
}
