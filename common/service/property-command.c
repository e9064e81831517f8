/* SPDX-License-Identifier: Apache-2.0 */
#include "common/service/property-command.h"

#include <string.h>

#include "common/service/property-rules.h"

/* No request that follows the rules has more: each takes 4 bytes of the text at least. */
#define CHANGES_MAX (PROPERTIES_MAX / 4)

#define STEP_SECONDS 2

Json *properties_to_json(const Properties *properties)
{
	Json *object = json_object_new_object();
	Property property;
	guint at = 0;

	while (properties_next(properties, &at, &property))
		json_add_text(object, property.key, property.value);
	return object;
}

Json *properties_changes_to_json(const Property *changes, guint n)
{
	Json *object = json_object_new_object();

	for (guint i = 0; i < n; i++)
		json_add_text(object, changes[i].key, changes[i].value);
	return object;
}

/* FALSE with INVALID, of a member that can be no change. */
static gboolean change_read(const struct json_object_iterator *at, Property *ret_change,
			    GError **error)
{
	const char *key = json_object_iter_peek_name(at);
	Json *value = json_object_iter_peek_value(at);
	const char *text =
		json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
	Property change = {.key = ""};

	if (!property_check_key(key, error))
		return FALSE;
	if (!text)
		return error_set(error, STORAGEOS_ERROR_INVALID, "`%s` is no text", key);
	if (*text && !property_check_value(key, text, error))
		return FALSE;
	g_strlcpy(change.key, key, sizeof change.key);
	g_strlcpy(change.value, text, sizeof change.value);
	*ret_change = change;
	return TRUE;
}

void properties_from_json(Json *object, Properties *ret_properties)
{
	struct json_object_iterator at, end;
	Property property;

	*ret_properties = (Properties){{0}};
	if (!object)
		return;
	at = json_object_iter_begin(object);
	end = json_object_iter_end(object);
	for (; !json_object_iter_equal(&at, &end); json_object_iter_next(&at))
		if (change_read(&at, &property, NULL))
			properties_change(ret_properties, &property, NULL);
}

/* The changes of a request: an array of Property; NULL with INVALID, or UNSUPPORTED. */
static GArray *changes_read(const Volume *volume, Json *request, GError **error)
{
	g_autoptr(GArray) changes = g_array_new(FALSE, FALSE, sizeof(Property));
	Json *object = json_get_object(request, "properties");
	struct json_object_iterator at, end;
	Property change;

	if (!object || json_object_object_length(object) > (int)CHANGES_MAX) {
		error_set(error, STORAGEOS_ERROR_INVALID,
			  object ? "`properties` has too many" : "`properties` is missing");
		return NULL;
	}
	at = json_object_iter_begin(object);
	end = json_object_iter_end(object);
	for (; !json_object_iter_equal(&at, &end); json_object_iter_next(&at)) {
		if (!change_read(&at, &change, error) ||
		    (volume_is_direct(volume) && !property_check_direct(&change, error)))
			return NULL;
		g_array_append_val(changes, change);
	}
	return g_steal_pointer(&changes);
}

/* Those of the changes that are set before them. */
static Json *before_to_json(const Properties *before, const Property *changes, guint n)
{
	Json *object = json_object_new_object();
	char value[PROPERTY_VALUE_MAX + 1];

	for (guint i = 0; i < n; i++)
		if (properties_get(before, changes[i].key, value))
			json_add_text(object, changes[i].key, value);
	return object;
}

static Json *answer_new(const Properties *before, const Properties *after, const Property *changes,
			guint n)
{
	Json *answer = json_object_new_object();

	json_object_object_add(answer, "properties", properties_to_json(after));
	json_object_object_add(answer, "before", before_to_json(before, changes, n));
	return answer;
}

/* How far a reserve is, in bytes. */
typedef struct {
	guint64 done, all;
} Reserving;

static gboolean reserving_note(guint64 done, guint64 all, gpointer data, GError **error)
{
	(void)error;
	*(Reserving *)data = (Reserving){done, all};
	return TRUE;
}

static Json *reserving_to_json(const Reserving *reserving)
{
	Json *answer = json_object_new_object(), *object = json_object_new_object();

	json_add_number(object, "done", reserving->done);
	json_add_number(object, "all", reserving->all);
	json_object_object_add(answer, "reserving", object);
	return answer;
}

Json *property_command(Volume *volume, Json *request, const VolumeReserveWatch *watch,
		       GError **error)
{
	g_autoptr(GArray) changes = changes_read(volume, request, error);
	Reserving reserving = {0, 0};
	const VolumeReserveWatch step = {STEP_SECONDS, reserving_note, &reserving};
	g_autoptr(GError) problem = NULL;
	Properties before, after;

	if (!changes)
		return NULL;
	if (!watch && json_get_flag(request, "in_steps"))
		watch = &step;
	volume_get_properties(volume, &before);
	if (!volume_set_properties_watched(volume, (const void *)changes->data, changes->len, watch,
					   &problem)) {
		if (reserving.all &&
		    g_error_matches(problem, STORAGEOS_ERROR, STORAGEOS_ERROR_BUSY))
			return reserving_to_json(&reserving);
		g_propagate_error(error, g_steal_pointer(&problem));
		return NULL;
	}
	volume_get_properties(volume, &after);
	return answer_new(&before, &after, (const void *)changes->data, changes->len);
}

Json *property_foresee(const Properties *now, const Property *changes, guint n, GError **error)
{
	Properties after = *now;

	for (guint i = 0; i < n; i++)
		if (!properties_change(&after, &changes[i], error))
			return NULL;
	return answer_new(now, &after, changes, n);
}
