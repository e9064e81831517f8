/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/prometheus.h"

void prometheus_print_head(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP storageos_%s %s\n# TYPE storageos_%s %s\n", name, help, name, type);
}

char *prometheus_escape(const char *text)
{
	GString *s = g_string_new(NULL);

	for (; *text; text++) {
		if (*text == '\n')
			g_string_append(s, "\\n");
		else if (*text == '"' || *text == '\\')
			g_string_append_printf(s, "\\%c", *text);
		else
			g_string_append_c(s, *text);
	}
	return g_string_free(s, FALSE);
}
