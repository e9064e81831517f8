/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table for people: columns as wide as what is in them.
 */
#pragma once

#include <glib.h>

typedef struct Table Table;

/* `headings`: the first row, NULL at its end.  `right`: for each column whether it is numbers. */
Table *table_new(const char *const *headings, const gboolean *right);
void table_free(Table *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Table, table_free)

/* Takes the texts, one for each column. */
void table_add(Table *table, ...);

/* On standard output; the last column without blanks behind it. */
void table_print(const Table *table);
