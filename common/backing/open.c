/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "common/backing/file.h"
#include "common/backing/module.h"
#include "common/base/error.h"

typedef struct {
	const char *scheme;
	Backing *(*open)(const char *rest, BackingOpenFlags flags, GError **error);
} BackingScheme;

/* Whether the module is there shows only now. */
static Backing *open_rbd(const char *rest, BackingOpenFlags flags, GError **error)
{
	const Module *module = module_get("rbd", error);

	if (module)
		return module->open(rest, flags, error);
	g_prefix_error(error, "rbd:%s: ", rest);
	return NULL;
}

static const BackingScheme schemes[] = {
	{"file", backing_file_open},
	{"rbd", open_rbd},
};

/* The length of SCHEME if `uri` begins with "SCHEME:", or 0 if `uri` is a path. */
static gsize scheme_length(const char *uri)
{
	gsize n = strspn(uri, "abcdefghijklmnopqrstuvwxyz0123456789+.-");

	return g_ascii_islower(*uri) && uri[n] == ':' ? n : 0;
}

Backing *backing_open(const char *uri, BackingOpenFlags flags, GError **error)
{
	gsize n = scheme_length(uri);

	if (!n)
		return backing_file_open(uri, flags, error);
	for (guint i = 0; i < G_N_ELEMENTS(schemes); i++)
		if (strlen(schemes[i].scheme) == n && !strncmp(uri, schemes[i].scheme, n))
			return schemes[i].open(uri + n + 1, flags, error);
	error_set(error, STORAGEOS_ERROR_INVALID, "%s: unknown kind of backing", uri);
	return NULL;
}
