/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/service.h"

#include <string.h>
#include <unistd.h>

#include "cli/process.h"
#include "common/service/config.h"
#include "common/base/error.h"

static void name_append_escaped(GString *text, char c, gboolean first)
{
	if (c == '/')
		g_string_append_c(text, '-');
	else if (g_ascii_isalnum(c) || c == ':' || c == '_' || (c == '.' && !first))
		g_string_append_c(text, c);
	else
		g_string_append_printf(text, "\\x%02x", (guint8)c);
}

char *service_name(const char *service, const char *volume)
{
	GString *text = g_string_new(service);

	g_string_append_c(text, '@');
	for (const char *c = volume; *c; c++)
		name_append_escaped(text, *c, c == volume);
	g_string_append(text, ".service");
	return g_string_free(text, FALSE);
}

static gboolean service_is_installed(const char *service)
{
	static const char *const places[] = {"/etc/systemd/system", "/usr/local/lib/systemd/system",
					     "/usr/lib/systemd/system", "/lib/systemd/system"};

	for (guint i = 0; i < G_N_ELEMENTS(places); i++) {
		g_autofree char *path = g_strdup_printf("%s/%s@.service", places[i], service);

		if (!access(path, R_OK))
			return TRUE;
	}
	return FALSE;
}

static gboolean config_is_default(void)
{
	const char *config = g_getenv("STORAGEOS_CONFIG"), *program = g_getenv("STORAGEOS_FUSE");

	return (!config || !strcmp(config, CONFIG_DEFAULT_FILE)) && (!program || !*program);
}

gboolean service_available(const char *service)
{
	return !access("/run/systemd/system", F_OK) && config_is_default() &&
	       service_is_installed(service);
}

gboolean service_start(const char *unit, guint seconds, GError **error)
{
	const char *const argv[] = {"systemctl", "start", unit, NULL};

	return process_run(argv, seconds, NULL) ||
	       error_set(error, STORAGEOS_ERROR_IO, "%s did not start (see: journalctl -u '%s')",
			 unit, unit);
}
