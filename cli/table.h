/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table for people, with columns as wide as their contents.
 */
#pragma once

#include <glib.h>

typedef struct Table Table;

/* `headings`: the first row, NULL-terminated.  `right`: for each column, whether to align right. */
Table *table_new(const char *const *headings, const gboolean *right);
void table_free(Table *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Table, table_free)

/* Adds a row: one text for each column.  Takes the texts. */
void table_add(Table *table, ...);

/* Adds the next cell of a row, in the order of the columns.  Takes the text. */
void table_add_cell(Table *table, char *text);

/* Prints to standard output, without trailing blanks. */
void table_print(const Table *table);
