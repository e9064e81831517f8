/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/text.h"

#include <string.h>

/* The length in bytes of the UTF-8 character at `text`; 0 if there is no valid character, or it is
 * a control character. */
static gsize character_length(const char *text)
{
	gunichar c = g_utf8_get_char_validated(text, -1);

	if (c == (gunichar)-1 || c == (gunichar)-2 || g_unichar_iscntrl(c))
		return 0;
	return (gsize)(g_utf8_next_char(text) - text);
}

char *text_printable(const char *text)
{
	GString *printable = g_string_new(NULL);

	while (*text) {
		gsize length = character_length(text);

		if (length)
			g_string_append_len(printable, text, (gssize)length);
		else
			g_string_append_printf(printable, "\\x%02x", (guint8)*text);
		text += MAX(length, 1);
	}
	return g_string_free(printable, FALSE);
}

static gsize length_by_first(guint8 byte)
{
	return byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
}

gsize text_whole_length(const char *text, gsize length)
{
	gsize following = 0, first;

	while (following < MIN(length, 3) && ((guint8)text[length - 1 - following] & 0xc0) == 0x80)
		following++;
	if (following == length)
		return length;
	first = length - 1 - following;
	return length_by_first((guint8)text[first]) > following + 1 ? first : length;
}

char *text_excerpt(const char *text, gsize max)
{
	gsize length = strnlen(text, max + 1);
	g_autofree char *start = NULL, *printable = NULL;

	if (length <= max)
		return text_printable(text);
	start = g_strndup(text, text_whole_length(text, max));
	printable = text_printable(start);
	return g_strconcat(printable, "...", NULL);
}
