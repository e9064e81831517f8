/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/set-stored.h"

#include <stdio.h>
#include <string.h>

#include "cli/bounded.h"
#include "cli/facts.h"
#include "cli/interrupt.h"
#include "cli/places.h"
#include "cli/served.h"
#include "common/base/error.h"
#include "common/base/units.h"
#include "common/service/control-address.h"
#include "common/service/control-call.h"
#include "common/service/property-command.h"

#define ANSWER_SECONDS 60 /* a server waits up to 25 s for a checkpoint */
#define IMAGE_SECONDS 20
#define BACK_SECONDS 60 /* for space that was allocated in vain */

static gboolean key_is_in(const GArray *changes, const char *key)
{
	for (guint i = 0; i < changes->len; i++)
		if (!strcmp(g_array_index(changes, Property, i).key, key))
			return TRUE;
	return FALSE;
}

GArray *set_stored_parse(char *const *assignments, GError **error)
{
	g_autoptr(GArray) changes = g_array_new(FALSE, FALSE, sizeof(Property));

	for (; *assignments; assignments++) {
		Property change;

		if (!property_parse(*assignments, &change, error))
			return NULL;
		if (key_is_in(changes, change.key)) {
			error_set(error, STORAGEOS_ERROR_INVALID, "'%s' is set twice", change.key);
			return NULL;
		}
		g_array_append_val(changes, change);
	}
	return g_steal_pointer(&changes);
}

/* ---- the change */

static Json *request_new(const GArray *changes)
{
	Json *request = json_object_new_object();

	json_add_text(request, "command", PROPERTY_COMMAND);
	json_object_object_add(
		request, "properties",
		properties_changes_to_json((const void *)changes->data, changes->len));
	return request;
}

gboolean set_stored_show_reserve(guint64 done, guint64 all, gpointer data, GError **error)
{
	g_autofree char *has = size_format(done), *needs = size_format(all);

	cli_progress("%s: reserving space, %s of %s", (const char *)data, has, needs);
	return interrupt_check(error);
}

typedef struct {
	const Config *config;
	const VolumeName *name;
	const GArray *changes;
	char *what; /* for people */
} Setting;

static Json *server_ask(const Setting *setting, const GArray *changes, GError **error)
{
	g_autofree char *socket = control_name(setting->name);
	g_autoptr(Json) request = request_new(changes);

	json_add_flag(request, "in_steps", TRUE);
	return control_call(setting->config, socket, request, ANSWER_SECONDS, error);
}

/* Nothing is changed: what the server has allocated for a reserve goes back now. */
static void server_give_up(const Setting *setting)
{
	g_autoptr(GArray) none = g_array_new(FALSE, FALSE, sizeof(Property));

	json_object_put(server_ask(setting, none, NULL));
}

/* Again while a reserve is being allocated; if this process dies, that goes back soon after. */
static Json *set_by_server(const Setting *setting, GError **error)
{
	for (;;) {
		Json *answer = server_ask(setting, setting->changes, error);
		Json *reserving = json_get_object(answer, "reserving");
		gboolean goes_on;

		if (!reserving)
			return answer;
		goes_on = set_stored_show_reserve((guint64)json_get_number(reserving, "done"),
						  (guint64)json_get_number(reserving, "all"),
						  setting->what, error);
		json_object_put(answer);
		if (goes_on)
			continue;
		server_give_up(setting);
		return NULL;
	}
}

static Json *set_opened(const Setting *setting, VolumeOpenFlags flags, GError **error)
{
	const VolumeReserveWatch watch = {.progress = set_stored_show_reserve,
					  .data = setting->what};
	g_autoptr(Json) request = request_new(setting->changes);
	g_autoptr(Json) answer = NULL;
	Volume *volume;

	volume_set_cache_size(setting->config->node_cache);
	volume = pool_volume_open(setting->config, setting->name, flags, error);
	if (!volume)
		return NULL;
	answer = property_command(volume, request, &watch, error);
	if (!answer && !interrupt_check(NULL))
		volume_settled(volume, volume_settle_own(volume), BACK_SECONDS);
	if (!volume_close(volume, answer ? error : NULL))
		return NULL;
	return g_steal_pointer(&answer);
}

/* In a child process.  Without the lock, which another machine may have. */
static void image_answer(gconstpointer data, int fd)
{
	g_autoptr(Json) object = json_object_new_object();
	g_autoptr(GError) error = NULL;
	Json *answer = set_opened(data, VOLUME_OPEN_STANDBY, &error);

	if (answer) {
		json_object_object_add(object, "answer", answer);
	} else {
		json_add_text(object, "error", error->message);
		json_add_number(object, "code", (guint64)error->code);
	}
	dprintf(fd, "%s", json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
}

/* Ceph may not answer for as long as it likes. */
static Json *set_image(const Setting *setting, GError **error)
{
	g_autofree char *text = bounded_ask(image_answer, setting, IMAGE_SECONDS);
	g_autoptr(Json) object = text ? json_tokener_parse(text) : NULL;

	if (!object)
		error_set(error, STORAGEOS_ERROR_IO,
			  "Ceph does not answer (within %d s; see: ceph -s); it may still be "
			  "changed",
			  IMAGE_SECONDS);
	else if (json_get_text(object, "error"))
		error_set(error, (StorageosError)json_get_number(object, "code"), "%s",
			  json_get_text(object, "error"));
	else
		return json_object_get(json_get_object(object, "answer"));
	return NULL;
}

static Json *set_here(const Setting *setting, GError **error)
{
	return pool_is_ceph(setting->config, setting->name) ? set_image(setting, error)
							    : set_opened(setting, 0, error);
}

/* With the lock of those who attach. */
static Json *answer_get(const Setting *setting, GError **error)
{
	gint64 since = g_get_monotonic_time();
	g_autoptr(GError) problem = NULL;
	Json *answer;

	if (!served_check(setting->config, setting->name, error))
		return NULL;
	if (key_is_in(setting->changes, VOLUME_RESERVE))
		interrupt_hold();
	do {
		answer = set_by_server(setting, &problem);
		if (answer || !g_error_matches(problem, STORAGEOS_ERROR, STORAGEOS_ERROR_NOT_FOUND))
			break;
		g_clear_error(&problem);
		answer = set_here(setting, &problem);
	} while (!answer && served_just_begins(since, &problem));
	cli_progress_end();
	if (problem)
		g_propagate_error(error, g_steal_pointer(&problem));
	return answer;
}

/* Of a dry run; with that lock, too. */
static Json *answer_foresee(const Setting *setting, GError **error)
{
	const GArray *changes = setting->changes;
	g_auto(Facts) facts = {0};

	if (!served_check(setting->config, setting->name, error) ||
	    !facts_read(setting->config, setting->name, &facts, error))
		return NULL;
	return property_foresee(&facts.properties, (const void *)changes->data, changes->len,
				error);
}

/* ---- the report */

/* "scrub_rate 50 MiB, was not set (from the next scrub on)" */
static char *change_describe(const Property *change, Json *before, const char *was)
{
	const PropertyRule *rule = property_rule_find(change->key);
	const char *old = json_get_text(before, change->key);
	g_autofree char *now = NULL, *then = NULL;
	Property property = *change;

	now = *change->value ? property_show(change) : g_strdup("not set");
	if (old)
		g_strlcpy(property.value, old, sizeof property.value);
	then = old ? property_show(&property) : g_strdup("not set");
	return g_strdup_printf(
		"%s %s, %s %s%s%s%s", change->key, now, was, then, rule && rule->effect ? " (" : "",
		rule && rule->effect ? rule->effect : "", rule && rule->effect ? ")" : "");
}

static void report_set(const Cli *cli, const Places *places, const GArray *changes, gboolean dry,
		       Json *answer)
{
	g_autoptr(GString) text = g_string_new(NULL);
	Json *before = json_get_object(answer, "before");
	Json *object = json_object_new_object();

	for (guint i = 0; i < changes->len; i++) {
		g_autofree char *change = change_describe(&g_array_index(changes, Property, i),
							  before, dry ? "is" : "was");

		g_string_append_printf(text, "%s%s", i ? "; " : "", change);
	}
	json_add_text(object, "volume", places->text);
	json_object_object_add(object, "properties",
			       json_object_get(json_get_object(answer, "properties")));
	json_object_object_add(object, "before", json_object_get(before));
	if (dry)
		cli_report_dry(cli, object, "%s: would be set: %s", places->text, text->str);
	else
		cli_report(cli, object, "%s: %s", places->text, text->str);
}

gboolean set_stored_check(const Config *config, const VolumeName *name, const GArray *changes,
			  GError **error)
{
	gboolean ceph = pool_is_ceph(config, name);

	for (guint i = 0; ceph && i < changes->len; i++)
		if (!property_check_direct(&g_array_index(changes, Property, i), error))
			return FALSE;
	return TRUE;
}

gboolean set_stored(const Cli *cli, const VolumeName *name, const GArray *changes, gboolean dry,
		    GError **error)
{
	g_autoptr(Places) places = places_new(cli->config, name);
	g_autofree char *what = g_strconcat("set ", places->text, NULL);
	const Setting setting = {cli->config, name, changes, what};
	g_autoptr(Json) answer = NULL;

	if (set_stored_check(cli->config, name, changes, error) && places_lock(places, error))
		answer = dry ? answer_foresee(&setting, error) : answer_get(&setting, error);
	if (!answer) {
		g_prefix_error(error, "%s: ", what);
		return FALSE;
	}
	report_set(cli, places, changes, dry, answer);
	return TRUE;
}
