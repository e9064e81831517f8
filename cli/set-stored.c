/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/set-stored.h"

#include <string.h>

#include "cli/places.h"
#include "cli/served.h"
#include "common/base/error.h"
#include "common/service/control-address.h"
#include "common/service/control-call.h"
#include "common/service/property-command.h"

#define ANSWER_SECONDS 60 /* a server waits up to 25 s for a checkpoint */

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

static Json *set_here(const Config *config, const VolumeName *name, const GArray *changes,
		      GError **error)
{
	g_autoptr(Json) request = request_new(changes);
	g_autoptr(Json) answer = NULL;
	Volume *volume;

	volume_set_cache_size(config->node_cache);
	volume = pool_volume_open(config, name, 0, error);
	if (!volume)
		return NULL;
	answer = property_command(volume, request, error);
	if (!volume_close(volume, answer ? error : NULL))
		return NULL;
	return g_steal_pointer(&answer);
}

gboolean set_stored_here(const Config *config, const VolumeName *name, const GArray *changes,
			 GError **error)
{
	g_autoptr(Json) answer = set_here(config, name, changes, error);

	return answer != NULL;
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

/* ---- the report */

/* "scrub_rate 50 MiB, was not set (from the next scrub on)" */
static char *change_describe(const Property *change, Json *before)
{
	const PropertyRule *rule = property_rule_find(change->key);
	const char *old = json_get_text(before, change->key);
	g_autofree char *now = NULL, *was = NULL;
	Property property = *change;

	now = *change->value ? property_show(change) : g_strdup("not set");
	if (old)
		g_strlcpy(property.value, old, sizeof property.value);
	was = old ? property_show(&property) : g_strdup("not set");
	return g_strdup_printf(
		"%s %s, was %s%s%s%s", change->key, now, was, rule && rule->effect ? " (" : "",
		rule && rule->effect ? rule->effect : "", rule && rule->effect ? ")" : "");
}

static void report_set(const Cli *cli, const Places *places, const GArray *changes, Json *answer)
{
	g_autoptr(GString) text = g_string_new(NULL);
	Json *before = json_get_object(answer, "before");
	Json *object = json_object_new_object();

	for (guint i = 0; i < changes->len; i++) {
		g_autofree char *change =
			change_describe(&g_array_index(changes, Property, i), before);

		g_string_append_printf(text, "%s%s", i ? "; " : "", change);
	}
	json_add_text(object, "volume", places->text);
	json_object_object_add(object, "properties",
			       json_object_get(json_get_object(answer, "properties")));
	json_object_object_add(object, "before", json_object_get(before));
	cli_report(cli, object, "%s: %s", places->text, text->str);
}

gboolean set_stored_check(const Config *config, const VolumeName *name, GError **error)
{
	g_autofree char *place = NULL;

	if (!pool_is_ceph(config, name))
		return TRUE;
	place = pool_volume_place(config, name);
	return error_set(error, STORAGEOS_ERROR_UNSUPPORTED,
			 "%s is an image of Ceph, which keeps no properties of storageos (it has "
			 "metadata of its own: rbd image-meta)",
			 place);
}

gboolean set_stored(const Cli *cli, const VolumeName *name, const GArray *changes, GError **error)
{
	g_autoptr(Places) places = places_new(cli->config, name);
	g_autoptr(Json) answer = NULL;

	if (set_stored_check(cli->config, name, error) && places_lock(places, error))
		answer = answer_get(cli->config, name, changes, error);
	if (!answer) {
		g_prefix_error(error, "set %s: ", places->text);
		return FALSE;
	}
	report_set(cli, places, changes, answer);
	return TRUE;
}
