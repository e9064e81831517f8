/* SPDX-License-Identifier: Apache-2.0 */
#include "common/engine/properties.h"

#include <string.h>

#include "common/base/text.h"

#define KEY_BYTES "abcdefghijklmnopqrstuvwxyz0123456789_.-"

G_STATIC_ASSERT(FORMAT_PROPERTIES_SIZE == sizeof(((FormatSuperblock *)NULL)->properties));

static gboolean key_is_valid(const char *key, gsize length)
{
	return length && length <= PROPERTY_KEY_MAX && strspn(key, KEY_BYTES) >= length;
}

static gboolean value_is_valid(const char *value, gsize length)
{
	const char *end = value + length;

	if (!length || length > PROPERTY_VALUE_MAX || !g_utf8_validate(value, (gssize)length, NULL))
		return FALSE;
	for (const char *at = value; at < end; at = g_utf8_next_char(at))
		if (g_unichar_iscntrl(g_utf8_get_char(at)))
			return FALSE;
	return TRUE;
}

gboolean property_check_key(const char *key, GError **error)
{
	g_autofree char *shown = NULL;

	if (key_is_valid(key, strlen(key)))
		return TRUE;
	shown = text_excerpt(key, PROPERTY_KEY_MAX);
	return error_set(error, STORAGEOS_ERROR_INVALID,
			 "invalid property '%s' (1 to %u of a-z, 0-9, '_', '.', '-')", shown,
			 PROPERTY_KEY_MAX);
}

gboolean property_check_value(const char *key, const char *value, GError **error)
{
	return value_is_valid(value, strlen(value)) ||
	       error_set(error, STORAGEOS_ERROR_INVALID,
			 "invalid value of '%s' (1 to %u bytes of UTF-8, without control "
			 "characters)",
			 key, PROPERTY_VALUE_MAX);
}

/* The line at `at`, which ends before `end`: FALSE unless it follows the rules. */
static gboolean line_parse(const char *at, const char *end, Property *ret_property)
{
	const char *equals = memchr(at, '=', (gsize)(end - at));
	gsize key = equals ? (gsize)(equals - at) : 0;
	gsize value = equals ? (gsize)(end - equals - 1) : 0;

	if (!key_is_valid(at, key) || !value_is_valid(equals + 1, value))
		return FALSE;
	*ret_property = (Property){0};
	memcpy(ret_property->key, at, key);
	memcpy(ret_property->value, equals + 1, value);
	return TRUE;
}

static const char *line_end(const Properties *properties, guint at)
{
	return at < sizeof properties->text
		       ? memchr(properties->text + at, '\n', sizeof properties->text - at)
		       : NULL;
}

gboolean properties_next(const Properties *properties, guint *at, Property *ret_property)
{
	char last[sizeof ret_property->key] = "";
	const char *end;

	if (*at)
		memcpy(last, ret_property->key, sizeof last);
	while ((end = line_end(properties, *at))) {
		const char *line = properties->text + *at;
		Property found;

		*at = (guint)(end + 1 - properties->text);
		if (line_parse(line, end, &found) && strcmp(found.key, last) > 0) {
			*ret_property = found;
			return TRUE;
		}
	}
	return FALSE;
}

gboolean properties_get(const Properties *properties, const char *key, char *ret_value)
{
	Property property;
	guint at = 0;

	while (properties_next(properties, &at, &property))
		if (!strcmp(property.key, key)) {
			memcpy(ret_value, property.value, sizeof property.value);
			return TRUE;
		}
	return FALSE;
}

/* FALSE: there is no room for it. */
static gboolean text_append(Properties *properties, gsize *length, const Property *property)
{
	gsize key = strlen(property->key), value = strlen(property->value);
	char *at = properties->text + *length;

	if (*length + key + value + 2 > PROPERTIES_MAX)
		return FALSE;
	memcpy(at, property->key, key);
	at[key] = '=';
	memcpy(at + key + 1, property->value, value);
	at[key + 1 + value] = '\n';
	*length += key + value + 2;
	return TRUE;
}

gboolean properties_change(Properties *properties, const Property *change, GError **error)
{
	Properties next = {{0}};
	Property property;
	gboolean fits = TRUE, done = !*change->value;
	gsize length = 0;
	guint at = 0;

	if (!property_check_key(change->key, error) ||
	    (*change->value && !property_check_value(change->key, change->value, error)))
		return FALSE;
	while (fits && properties_next(properties, &at, &property)) {
		int order = strcmp(property.key, change->key);

		if (order >= 0 && !done) {
			fits = text_append(&next, &length, change);
			done = TRUE;
		}
		if (order && fits)
			fits = text_append(&next, &length, &property);
	}
	if (fits && !done)
		fits = text_append(&next, &length, change);
	if (!fits)
		return error_set(error, STORAGEOS_ERROR_NO_SPACE,
				 "no room for property '%s' (all of a volume's together have at "
				 "most %u bytes)",
				 change->key, PROPERTIES_MAX);
	*properties = next;
	return TRUE;
}
