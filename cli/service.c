/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/service.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/process.h"
#include "common/service/config.h"
#include "common/base/error.h"
#include "common/base/files.h"

#define UNITS "/run/systemd/system"
#define DROP_IN "50-storageos.conf"
#define ASK_SECONDS 20

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

/* ---- the order at a shutdown */

static char *drop_in_directory(const char *unit)
{
	return g_strconcat(UNITS "/", unit, ".d", NULL);
}

/* NULL if systemd does not answer. */
static char *unit_property(const char *unit, const char *property)
{
	const char *const argv[] = {"systemctl", "show", "--value", "--property",
				    property,	 unit,	 NULL};
	g_auto(ProcessResult) result = {0};

	if (!process_read(argv, ASK_SECONDS, FILES_TEXT_MAX, &result, NULL) || result.status)
		return NULL;
	return g_strchomp(g_steal_pointer(&result.text));
}

static gboolean mount_is_local(const char *unit)
{
	g_autofree char *before = unit_property(unit, "Before");
	g_auto(GStrv) units = g_strsplit(before ? before : "", " ", -1);

	return g_strv_contains((const char *const *)units, "local-fs.target");
}

/* "srv-small.mount" for "/srv/small". */
static char *mount_unit(const char *mount)
{
	GString *text = g_string_new(NULL);

	for (const char *c = mount + 1; *c; c++)
		name_append_escaped(text, *c, c == mount + 1);
	g_string_append(text, ".mount");
	return g_string_free(text, FALSE);
}

/* "" if there is nothing to order. */
static char *order_text(const GPtrArray *mounts)
{
	GString *text = g_string_new(NULL);

	for (guint i = 0; i < mounts->len; i++) {
		g_autofree char *unit = mount_unit(g_ptr_array_index(mounts, i));

		if (mount_is_local(unit))
			g_string_append_printf(text, "%sAfter=%s\n", text->len ? "" : "[Unit]\n",
					       unit);
	}
	return g_string_free(text, FALSE);
}

/* A unit that is loaded does not see a new drop-in, as after a crash of the server. */
static gboolean drop_in_notice(const char *unit, GError **error)
{
	const char *const argv[] = {"systemctl", "daemon-reload", NULL};
	g_autofree char *needed = unit_property(unit, "NeedDaemonReload");

	return g_strcmp0(needed, "yes") || process_run(argv, ASK_SECONDS, error);
}

gboolean service_order(const char *unit, const GPtrArray *mounts, GError **error)
{
	g_autofree char *text = order_text(mounts), *directory = drop_in_directory(unit);
	g_autofree char *path = g_build_filename(directory, DROP_IN, NULL);
	g_autofree char *present = files_read(path, FILES_TEXT_MAX, NULL, NULL);

	if (!strcmp(text, present ? present : ""))
		return TRUE;
	if (!*text)
		service_forget(unit);
	else if (!files_make_directory(directory, error) ||
		 !files_write(path, text, strlen(text), 0644, FILES_REPLACE, error))
		return FALSE;
	return drop_in_notice(unit, error);
}

void service_forget(const char *unit)
{
	g_autofree char *directory = drop_in_directory(unit);
	g_autofree char *path = g_build_filename(directory, DROP_IN, NULL);

	unlink(path);
	rmdir(directory);
}

/* ---- at a shutdown */

/* NULL if systemd does not run or does not answer. */
static char *systemctl_ask(const char *const argv[])
{
	g_auto(ProcessResult) result = {0};

	if (access("/run/systemd/system", F_OK) ||
	    !process_read(argv, ASK_SECONDS, FILES_TEXT_MAX, &result, NULL))
		return NULL;
	return g_strchomp(g_steal_pointer(&result.text));
}

gboolean service_is_shutdown(void)
{
	const char *const argv[] = {"systemctl", "is-system-running", NULL};
	g_autofree char *state = systemctl_ask(argv);

	return !g_strcmp0(state, "stopping");
}

/* "123 cron.service stop running" */
static gboolean job_stops_other(const char *line)
{
	char unit[256], type[32], state[32];

	return sscanf(line, "%*u %255s %31s %31s", unit, type, state) == 3 &&
	       !g_str_has_prefix(unit, "storageos-") && !strcmp(type, "stop") &&
	       !strcmp(state, "running");
}

gboolean service_others_stop(void)
{
	const char *const argv[] = {"systemctl", "list-jobs", "--no-legend",
				    "--plain",	 "--full",    NULL};
	g_autofree char *text = systemctl_ask(argv);
	g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);

	for (guint i = 0; lines[i]; i++)
		if (job_stops_other(lines[i]))
			return TRUE;
	return FALSE;
}
