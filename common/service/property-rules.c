/* SPDX-License-Identifier: Apache-2.0 */
#include "common/service/property-rules.h"

#include <string.h>

#include "common/base/frontend.h"
#include "common/base/text.h"
#include "common/service/volume-limits.h"

static gboolean size_read(const char *text, char ret_value[PROPERTY_VALUE_MAX + 1])
{
	guint64 bytes;

	if (!size_parse(text, &bytes))
		return FALSE;
	g_snprintf(ret_value, PROPERTY_VALUE_MAX + 1, "%" G_GUINT64_FORMAT, bytes);
	return TRUE;
}

/* "none" removes the property. */
static gboolean reserve_read(const char *text, char ret_value[PROPERTY_VALUE_MAX + 1])
{
	if (!size_read(text, ret_value))
		g_strlcpy(ret_value, strcmp(text, "none") ? text : "", PROPERTY_VALUE_MAX + 1);
	if (!strcmp(ret_value, "0"))
		ret_value[0] = '\0';
	return !*ret_value || g_ascii_isdigit(*ret_value) || !strcmp(text, VOLUME_RESERVE_FULL);
}

static char *size_show(const char *value)
{
	guint64 bytes;

	return size_parse(value, &bytes) ? size_format_exactly(bytes) : g_strdup(value);
}

static gboolean frontend_read(const char *text, char ret_value[PROPERTY_VALUE_MAX + 1])
{
	Frontend frontend;

	if (!frontend_parse(text, &frontend))
		return FALSE;
	g_strlcpy(ret_value, text, PROPERTY_VALUE_MAX + 1);
	return TRUE;
}

#define ANY_TEXT "1 to 255 bytes of text"

/* With lower limits, what waits would not be served before initiators give up (limiter.h). */
#define IOPS "requests per second, 30 to 100000000, or none"
#define RATE "bytes per second, 1M to 1T, or none"
#define IOPS_BURST "requests that may go at once, or none for a tenth of a second"
#define RATE_BURST "bytes that may go at once, or none for a tenth of a second"

static const PropertyRule rules[] = {
	{.key = "description", .expects = ANY_TEXT},
	{.key = "label.", .expects = ANY_TEXT},
	{.key = "user.", .expects = ANY_TEXT},
	{.key = VOLUME_RESERVE,
	 .expects = "a size, full, or none",
	 .parse = reserve_read,
	 .show = size_show,
	 .own = TRUE,
	 .not_direct = "its space is that of Ceph's pool, where nothing can be reserved (see: ceph "
		       "df, ceph osd pool set-quota)"},
	{.key = PROPERTY_SCRUB_RATE,
	 .expects = "bytes per second, for example 50M; 0: no limit",
	 .parse = size_read,
	 .show = size_show,
	 .effect = "from the next scrub on",
	 .not_direct = "Ceph scrubs its own copies (see: ceph config set osd osd_scrub_sleep)"},
	{.key = PROPERTY_FRONTEND,
	 .expects = "auto, tcmu or fuse",
	 .parse = frontend_read,
	 .effect = "from the next attach on"},
	{.key = "read_iops", .expects = IOPS, .parse = limits_parse_iops},
	{.key = "read_iops_burst", .expects = IOPS_BURST, .parse = limits_parse_burst},
	{.key = "read_bytes", .expects = RATE, .parse = limits_parse_bytes, .show = size_show},
	{.key = "read_bytes_burst",
	 .expects = RATE_BURST,
	 .parse = limits_parse_burst,
	 .show = size_show},
	{.key = "write_iops", .expects = IOPS, .parse = limits_parse_iops},
	{.key = "write_iops_burst", .expects = IOPS_BURST, .parse = limits_parse_burst},
	{.key = "write_bytes", .expects = RATE, .parse = limits_parse_bytes, .show = size_show},
	{.key = "write_bytes_burst",
	 .expects = RATE_BURST,
	 .parse = limits_parse_burst,
	 .show = size_show},
};

const PropertyRule *property_rule_find(const char *key)
{
	for (guint i = 0; i < G_N_ELEMENTS(rules); i++) {
		gsize length = strlen(rules[i].key);

		if (g_str_has_suffix(rules[i].key, ".")
			    ? !strncmp(key, rules[i].key, length) && key[length]
			    : !strcmp(key, rules[i].key))
			return &rules[i];
	}
	return NULL;
}

char *property_rule_keys(void)
{
	GString *keys = g_string_new(NULL);

	for (guint i = 0; i < G_N_ELEMENTS(rules); i++)
		g_string_append_printf(keys, "%s%s%s", i ? ", " : "", rules[i].key,
				       g_str_has_suffix(rules[i].key, ".") ? "NAME" : "");
	return g_string_free(keys, FALSE);
}

/* A value that is to be set. */
static gboolean value_parse(Property *change, const char *text, GError **error)
{
	const PropertyRule *rule = property_rule_find(change->key);
	g_autofree char *keys = rule ? NULL : property_rule_keys();
	g_autofree char *shown = NULL;

	if (!rule)
		return error_set(error, STORAGEOS_ERROR_INVALID, "no property '%s' (%s)",
				 change->key, keys);
	if (!property_check_value(change->key, text, error))
		return FALSE;
	if (!rule->parse)
		g_strlcpy(change->value, text, sizeof change->value);
	else if (!rule->parse(text, change->value)) {
		shown = text_excerpt(text, PROPERTY_VALUE_MAX);
		return error_set(error, STORAGEOS_ERROR_INVALID, "invalid %s '%s' (%s)",
				 change->key, shown, rule->expects);
	}
	return TRUE;
}

gboolean property_parse(const char *assignment, Property *ret_change, GError **error)
{
	const char *equals = strchr(assignment, '=');
	g_autofree char *key = equals ? g_strndup(assignment, (gsize)(equals - assignment)) : NULL;
	g_autofree char *shown = NULL;
	Property change = {.key = ""};

	if (!equals) {
		shown = text_excerpt(assignment, PROPERTY_VALUE_MAX);
		return error_set(error, STORAGEOS_ERROR_INVALID,
				 "invalid assignment '%s' (KEY=VALUE, or KEY= to remove it)",
				 shown);
	}
	if (!property_check_key(key, error))
		return FALSE;
	g_strlcpy(change.key, key, sizeof change.key);
	if (equals[1] && !value_parse(&change, equals + 1, error))
		return FALSE;
	*ret_change = change;
	return TRUE;
}

gboolean property_check_direct(const Property *change, GError **error)
{
	const PropertyRule *rule = property_rule_find(change->key);

	return !*change->value || !rule || !rule->not_direct ||
	       error_set(error, STORAGEOS_ERROR_UNSUPPORTED, "an image of Ceph has no %s: %s",
			 change->key, rule->not_direct);
}

char *property_show(const Property *property)
{
	const PropertyRule *rule = property_rule_find(property->key);

	return rule && rule->show ? rule->show(property->value) : g_strdup(property->value);
}

gboolean property_get_size(const Properties *properties, const char *key, guint64 *ret_bytes)
{
	char value[PROPERTY_VALUE_MAX + 1];

	return properties_get(properties, key, value) && size_parse(value, ret_bytes);
}

void properties_inherit(Properties *properties)
{
	Property property;
	guint at = 0;

	while (properties_next(properties, &at, &property)) {
		const PropertyRule *rule = property_rule_find(property.key);

		if (!rule || !rule->own)
			continue;
		property.value[0] = '\0';
		properties_change(properties, &property, NULL);
		at = 0;
	}
}
