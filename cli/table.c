/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/table.h"

#include <stdio.h>

struct Table {
	guint columns;
	const gboolean *right;
	int *widths;
	GPtrArray *cells;
};

void table_add_cell(Table *table, char *text)
{
	guint column = table->cells->len % table->columns;
	int width = (int)g_utf8_strlen(text, -1);

	table->widths[column] = MAX(table->widths[column], width);
	g_ptr_array_add(table->cells, text);
}

Table *table_new(const char *const *headings, const gboolean *right)
{
	Table *table = g_new0(Table, 1);

	while (headings[table->columns])
		table->columns++;
	table->right = right;
	table->widths = g_new0(int, table->columns);
	table->cells = g_ptr_array_new_with_free_func(g_free);
	for (guint i = 0; i < table->columns; i++)
		table_add_cell(table, g_strdup(headings[i]));
	return table;
}

void table_free(Table *table)
{
	if (!table)
		return;
	g_free(table->widths);
	g_ptr_array_unref(table->cells);
	g_free(table);
}

void table_add(Table *table, ...)
{
	va_list args;

	va_start(args, table);
	for (guint i = 0; i < table->columns; i++)
		table_add_cell(table, va_arg(args, char *));
	va_end(args);
}

void table_print(const Table *table)
{
	for (guint i = 0; i < table->cells->len; i++) {
		const char *text = g_ptr_array_index(table->cells, i);
		guint column = i % table->columns;
		int blanks = table->widths[column] - (int)g_utf8_strlen(text, -1);

		if (column + 1 == table->columns)
			printf("%s\n", text);
		else if (table->right[column])
			printf("%*s%s  ", blanks, "", text);
		else
			printf("%s%*s  ", text, blanks, "");
	}
}
