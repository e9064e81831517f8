/* SPDX-License-Identifier: Apache-2.0 */
#include "common/service/volume-limits.h"

#include <string.h>

#include "common/base/units.h"

static guint64 property_number(const Properties *properties, const char *key)
{
	char value[PROPERTY_VALUE_MAX + 1];
	guint64 number;

	return properties_get(properties, key, value) &&
			       g_ascii_string_to_unsigned(value, 10, 0, G_MAXINT64, &number, NULL)
		       ? number
		       : 0;
}

void limits_from_properties(const Properties *properties, Limits *ret_limits)
{
	*ret_limits = (Limits){0};
	for (guint d = 0; d < LIMITER_DIRECTIONS; d++)
		for (guint u = 0; u < LIMITER_UNITS; u++) {
			Limit *limit = &ret_limits->limits[d][u];

			limit->rate = property_number(properties, limits_name(d, u, FALSE));
			limit->burst = property_number(properties, limits_name(d, u, TRUE));
			if (limit->rate < limits_least(u) || limit->rate > limits_most(u))
				limit->rate = 0;
		}
}

static gboolean value_set(guint64 number, char *ret_value)
{
	g_snprintf(ret_value, PROPERTY_VALUE_MAX + 1, "%" G_GUINT64_FORMAT, number);
	return TRUE;
}

static gboolean is_none(const char *text, char *ret_value)
{
	if (strcmp(text, "none") != 0)
		return FALSE;
	*ret_value = '\0';
	return TRUE;
}

gboolean limits_parse_iops(const char *text, char ret_value[PROPERTY_VALUE_MAX + 1])
{
	guint64 number;

	return is_none(text, ret_value) ||
	       (g_ascii_string_to_unsigned(text, 10, LIMITER_IOPS_LEAST, LIMITER_IOPS_MOST, &number,
					   NULL) &&
		value_set(number, ret_value));
}

gboolean limits_parse_bytes(const char *text, char ret_value[PROPERTY_VALUE_MAX + 1])
{
	guint64 bytes;

	return is_none(text, ret_value) ||
	       (size_parse(text, &bytes) && bytes >= LIMITER_BYTES_LEAST &&
		bytes <= LIMITER_BYTES_MOST && value_set(bytes, ret_value));
}

gboolean limits_parse_burst(const char *text, char ret_value[PROPERTY_VALUE_MAX + 1])
{
	guint64 number;

	return is_none(text, ret_value) ||
	       (size_parse(text, &number) && number && value_set(number, ret_value));
}
