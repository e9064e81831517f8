/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/lines.h"

#include <stdio.h>

#include "common/base/units.h"

void lines_print(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

void lines_write(const char *name, const GPtrArray *lines, guint max, LinesWrite write)
{
	for (guint i = 0; i < MIN(lines->len, max); i++)
		write("%s: %s", name, (const char *)g_ptr_array_index(lines, i));
	if (lines->len > max)
		write("%s: and %u more (--json lists all)", name, lines->len - max);
}

char *lines_range(const char *what, guint64 first, guint64 end)
{
	return g_strdup_printf("%s %" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT, what,
			       blocks_to_bytes(first), blocks_to_bytes(end) - 1);
}
