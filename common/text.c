/* SPDX-License-Identifier: Apache-2.0 */
#include "common/text.h"

#include <string.h>

/* How long the character at `text` is; 0 where there is none that may be shown. */
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

gboolean text_is_printable(const char *text)
{
	gsize length;

	while (*text && (length = character_length(text)) > 0)
		text += length;
	return !*text;
}
