/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The columns of `list`: what of a volume each shows, and how it is sorted by that.  Every property
 * of a volume (common/service/property-rules.h) is a column, too.
 *
 * Threading: single-threaded.
 */
#pragma once

#include "cli/attachment.h"

#define LIST_COLUMNS_DEFAULT "volume,size,used,percent,state"

/* A volume that is listed. */
typedef struct {
	VolumeName *name;
	char *text; /* POOL/NAME */
	Attachment *attachment;
	char *trouble;		 /* known damage, or NULL */
	gboolean counted;	 /* the next two are known */
	guint64 snapshots, held; /* how many; bytes that only they have, at least */
} ListRow;

ListRow *list_row_new(const Config *config, const VolumeName *name);
void list_row_free(ListRow *row);

/* Asks the volume's server, or opens the volume, for its snapshots. */
void list_row_count_snapshots(ListRow *row, const Config *config);

typedef struct ListColumn ListColumn;

/* The columns (ListColumn *) that a text "volume,size" names.  NULL with INVALID, and all names.
 * Free with g_ptr_array_unref(). */
GPtrArray *list_columns_parse(const char *text, GError **error);

/* Whether one of them needs list_row_count_snapshots(). */
gboolean list_columns_need_snapshots(const GPtrArray *columns);

/* Free the result. */
char *list_column_heading(const ListColumn *column);
gboolean list_column_is_right(const ListColumn *column);

/* What stands in the column; "-" for what the volume has not, "?" for what is not known.  `exact`:
 * bytes, seconds since 1970, and no units.  Free the result. */
char *list_column_show(const ListColumn *column, const ListRow *row, gboolean exact);

/* Less than, equal to or greater than 0, as of strcmp(), or with `reverse` the opposite; a volume
 * that has nothing in the column is behind the others. */
int list_column_compare(const ListColumn *column, const ListRow *a, const ListRow *b,
			gboolean reverse);
