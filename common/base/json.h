/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json-c with automatic clean-up, and short forms of what the whole project does with it.
 *
 * The _get_ functions check the type: a member that is missing or of another type gives NULL, 0 or
 * FALSE.  json_add_text() adds no member if the text is NULL.  JSON must be UTF-8: in other text,
 * each byte that is not part of a character becomes \xNN.
 */
#pragma once

#include <glib.h>
#include <json-c/json.h>

#include "common/base/text.h"

typedef struct json_object Json;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Json, json_object_put)

static inline const char *json_get_text(Json *object, const char *key)
{
	Json *value;

	if (!json_object_object_get_ex(object, key, &value) ||
	    !json_object_is_type(value, json_type_string))
		return NULL;
	return json_object_get_string(value);
}

static inline gint64 json_get_number(Json *object, const char *key)
{
	Json *value;

	if (!json_object_object_get_ex(object, key, &value) ||
	    !json_object_is_type(value, json_type_int))
		return 0;
	return json_object_get_int64(value);
}

static inline gboolean json_get_flag(Json *object, const char *key)
{
	Json *value;

	return json_object_object_get_ex(object, key, &value) &&
	       json_object_is_type(value, json_type_boolean) && json_object_get_boolean(value);
}

/* The member of this type, or NULL.  The result is borrowed.  In all _get_ functions, `object` may
 * be NULL. */
static inline Json *json_get_typed(Json *object, const char *key, json_type type)
{
	Json *value;

	return json_object_object_get_ex(object, key, &value) && json_object_is_type(value, type)
		       ? value
		       : NULL;
}

static inline Json *json_get_object(Json *object, const char *key)
{
	return json_get_typed(object, key, json_type_object);
}

static inline Json *json_get_list(Json *object, const char *key)
{
	return json_get_typed(object, key, json_type_array);
}

static inline Json *json_text_new(const char *text)
{
	g_autofree char *printable = g_utf8_validate(text, -1, NULL) ? NULL : text_printable(text);

	return json_object_new_string(printable ? printable : text);
}

static inline void json_add_text(Json *object, const char *key, const char *text)
{
	if (text)
		json_object_object_add(object, key, json_text_new(text));
}

static inline void json_add_number(Json *object, const char *key, guint64 number)
{
	json_object_object_add(object, key, json_object_new_int64((gint64)number));
}

static inline void json_add_flag(Json *object, const char *key, gboolean flag)
{
	json_object_object_add(object, key, json_object_new_boolean(flag));
}

/* The object as indented text that ends with a newline.  Free the result. */
static inline char *json_to_text(Json *object)
{
	return g_strconcat(json_object_to_json_string_ext(
				   object, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
						   JSON_C_TO_STRING_NOSLASHESCAPE),
			   "\n", NULL);
}
