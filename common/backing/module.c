/* SPDX-License-Identifier: Apache-2.0 */
#include "common/backing/module.h"

#include <dlfcn.h>
#include <string.h>
#include <unistd.h>

#include "common/base/error.h"

static GMutex loading;
static GHashTable *loaded; /* by kind; under `loading` */

/* An absolute path: nothing is searched for. */
static char *module_path(const char *kind)
{
	const char *directory = g_getenv("STORAGEOS_MODULE_DIRECTORY");

	return g_strdup_printf(
		"%s/storageos-backing-%s.so",
		directory && g_path_is_absolute(directory) ? directory : MODULE_DIRECTORY, kind);
}

static void write_line(LoggingLevel level, const char *line)
{
	logging_write(level, "%s", line);
}

/* It is never unloaded: its libraries keep threads. */
static const Module *module_load(const char *kind, GError **error)
{
	static const ModuleHost host = {STORAGEOS_VERSION, write_line};
	g_autofree char *path = module_path(kind);
	const Module *module;
	ModuleEntry entry;
	void *handle, *symbol;

	if (access(path, F_OK)) {
		error_set(error, STORAGEOS_ERROR_UNSUPPORTED,
			  "needs the package storageos-%s (%s is not there)", kind, path);
		return NULL;
	}
	handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	symbol = handle ? dlsym(handle, MODULE_ENTRY_NAME) : NULL;
	if (!symbol) {
		error_set(error, STORAGEOS_ERROR_UNSUPPORTED,
			  "cannot use the package storageos-%s: %s", kind, dlerror());
		return NULL;
	}
	memcpy(&entry, &symbol, sizeof entry); /* ISO C has no conversion */
	module = entry(&host);
	if (!module)
		error_set(error, STORAGEOS_ERROR_UNSUPPORTED,
			  "cannot use the package storageos-%s: it is of another version "
			  "than " STORAGEOS_VERSION
			  "; install the same of both, and restart what was started before",
			  kind);
	return module;
}

const Module *module_get(const char *kind, GError **error)
{
	const Module *module;

	g_mutex_lock(&loading);
	if (!loaded)
		loaded = g_hash_table_new(g_str_hash, g_str_equal);
	module = g_hash_table_lookup(loaded, kind);
	if (!module) {
		module = module_load(kind, error);
		if (module)
			g_hash_table_insert(loaded, g_strdup(kind), (gpointer)module);
	}
	g_mutex_unlock(&loading);
	return module;
}
