/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/set-stored.h"

#include <stdio.h>
#include <string.h>

#include "cli/bounded.h"
#include "cli/facts.h"
#include "cli/places.h"
#include "cli/served.h"
#include "common/base/error.h"
#include "common/service/control-address.h"
#include "common/service/control-call.h"
#include "common/service/property-command.h"

#define ANSWER_SECONDS 60 /* a server waits up to 25 s for a checkpoint */
#define IMAGE_SECONDS 20

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

static Json *set_by_server(const Config *config, const VolumeName *name, const GArray *changes,
			   GError **error)
{
	g_autofree char *socket = control_name(name);
	g_autoptr(Json) request = request_new(changes);

	return control_call(config, socket, request, ANSWER_SECONDS, error);
}

typedef struct {
	const Config *config;
	const VolumeName *name;
	const GArray *changes;
} Setting;

static Json *set_opened(const Setting *setting, VolumeOpenFlags flags, GError **error)
{
	g_autoptr(Json) request = request_new(setting->changes);
	g_autoptr(Json) answer = NULL;
	Volume *volume;

	volume_set_cache_size(setting->config->node_cache);
	volume = pool_volume_open(setting->config, setting->name, flags, error);
	if (!volume)
		return NULL;
	answer = property_command(volume, request, error);
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

static Json *set_here(const Config *config, const VolumeName *name, const GArray *changes,
		      GError **error)
{
	const Setting setting = {config, name, changes};

	return pool_is_ceph(config, name) ? set_image(&setting, error)
					  : set_opened(&setting, 0, error);
}

/* With the lock of those who attach. */
static Json *answer_get(const Config *config, const VolumeName *name, const GArray *changes,
			GError **error)
{
	gint64 since = g_get_monotonic_time();
	g_autoptr(GError) problem = NULL;
	Json *answer;

	if (!served_check(config, name, error))
		return NULL;
	do {
		answer = set_by_server(config, name, changes, &problem);
		if (answer || !g_error_matches(problem, STORAGEOS_ERROR, STORAGEOS_ERROR_NOT_FOUND))
			break;
		g_clear_error(&problem);
		answer = set_here(config, name, changes, &problem);
	} while (!answer && served_just_begins(since, &problem));
	if (problem)
		g_propagate_error(error, g_steal_pointer(&problem));
	return answer;
}

/* Of a dry run; with that lock, too. */
static Json *answer_foresee(const Config *config, const VolumeName *name, const GArray *changes,
			    GError **error)
{
	g_auto(Facts) facts = {0};

	if (!served_check(config, name, error) || !facts_read(config, name, &facts, error))
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
	g_autoptr(Json) answer = NULL;

	if (set_stored_check(cli->config, name, changes, error) && places_lock(places, error))
		answer = dry ? answer_foresee(cli->config, name, changes, error)
			     : answer_get(cli->config, name, changes, error);
	if (!answer) {
		g_prefix_error(error, "set %s: ", places->text);
		return FALSE;
	}
	report_set(cli, places, changes, dry, answer);
	return TRUE;
}
