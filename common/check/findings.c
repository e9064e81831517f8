/* SPDX-License-Identifier: Apache-2.0 */
#include "common/check/findings.h"

Findings *findings_new(void)
{
	Findings *findings = g_new0(Findings, 1);

	findings->lines = g_ptr_array_new_with_free_func(g_free);
	findings->pending = g_string_new(NULL);
	return findings;
}

void findings_free(Findings *findings)
{
	if (!findings)
		return;
	g_ptr_array_unref(findings->lines);
	g_string_free(findings->pending, TRUE);
	g_free(findings);
}

/* Takes ownership of the line. */
static void keep_line(Findings *findings, char *line)
{
	if (findings->lines->len < FINDINGS_LINES)
		g_ptr_array_add(findings->lines, line);
	else
		g_free(line);
}

static void append_range(GString *line, const char *what, guint64 first, guint64 n)
{
	if (n == 1)
		g_string_append_printf(line, "%s %" G_GUINT64_FORMAT, what, first);
	else
		g_string_append_printf(line, "%ss %" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT, what,
				       first, first + n - 1);
}

void findings_end(Findings *findings)
{
	guint64 n = findings->end - findings->first;
	GString *line;

	if (!findings->pending->len)
		return;
	line = g_string_new(NULL);
	append_range(line, findings->what, findings->first, n);
	if (findings->slot) {
		g_string_append(line, " (");
		append_range(line, "slot", findings->slot, n);
		g_string_append_c(line, ')');
	}
	g_string_append_printf(line, ": %s", findings->pending->str);
	keep_line(findings, g_string_free(line, FALSE));
	g_string_truncate(findings->pending, 0);
}

void findings_add(Findings *findings, const char *format, ...)
{
	va_list args;

	findings_end(findings);
	findings->count++;
	va_start(args, format);
	keep_line(findings, g_strdup_vprintf(format, args));
	va_end(args);
}

void findings_add_one(Findings *findings, const char *what, guint64 number, guint64 slot,
		      const char *text)
{
	findings->count++;
	if (findings->pending->len && findings->what == what && findings->end == number &&
	    !g_strcmp0(findings->pending->str, text)) {
		if (slot != findings->slot + (findings->end - findings->first))
			findings->slot = 0;
		findings->end++;
		return;
	}
	findings_end(findings);
	g_string_assign(findings->pending, text);
	findings->what = what;
	findings->first = number;
	findings->end = number + 1;
	findings->slot = slot;
}

void findings_move(Findings *from, Findings *to)
{
	findings_end(from);
	findings_end(to);
	for (guint i = 0; i < from->lines->len; i++)
		keep_line(to, g_steal_pointer(&from->lines->pdata[i]));
	g_ptr_array_set_size(from->lines, 0);
	to->count += from->count;
	from->count = 0;
}
