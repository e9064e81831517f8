/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/units.h"

#include <math.h>
#include <string.h>

/* The power of two of a unit ("", "K", "Ki", "KiB", "kb" ...): 0, 10, 20 ...; -1 if it is not a
 * unit. */
static int unit_shift(const char *unit)
{
	static const char letters[] = "kmgtpe";
	const char *letter;

	while (*unit == ' ')
		unit++;
	if (!*unit || !g_ascii_strcasecmp(unit, "B"))
		return 0;
	letter = strchr(letters, g_ascii_tolower(*unit));
	if (!letter)
		return -1;
	unit++;
	if (*unit && g_ascii_strcasecmp(unit, "i") && g_ascii_strcasecmp(unit, "iB") &&
	    g_ascii_strcasecmp(unit, "B"))
		return -1;
	return (int)(letter - letters + 1) * 10;
}

gboolean size_parse(const char *text, guint64 *ret_bytes)
{
	size_t digits = text ? strspn(text, "0123456789.") : 0;
	g_autofree char *number = NULL;
	char *end;
	double value;
	int shift;

	if (!digits || digits > 24 || !g_ascii_isdigit(*text))
		return FALSE;
	shift = unit_shift(text + digits);
	if (shift < 0)
		return FALSE;
	number = g_strndup(text, digits);
	if (!strchr(number, '.')) {
		guint64 whole = g_ascii_strtoull(number, &end, 10);

		if (*end || whole > (guint64)G_MAXINT64 >> shift)
			return FALSE;
		*ret_bytes = whole << shift;
		return TRUE;
	}
	value = ldexp(g_ascii_strtod(number, &end), shift);
	if (*end || !(value < 0x1p63))
		return FALSE;
	*ret_bytes = (guint64)value;
	return TRUE;
}

static char *size_format_with(guint64 bytes, int decimals)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)bytes;
	guint i = 0;

	while (value >= 1024 && i + 1 < G_N_ELEMENTS(units)) {
		value /= 1024;
		i++;
	}
	return g_strdup_printf("%.*f %s", value == floor(value) ? 0 : decimals, value, units[i]);
}

char *size_format(guint64 bytes)
{
	return size_format_with(bytes, 1);
}

char *size_format_exactly(guint64 bytes)
{
	return size_format_with(bytes, 2);
}
