/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/list-columns.h"

#include <string.h>

#include "cli/snapshot-volume.h"
#include "cli/trouble.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/base/units.h"
#include "common/service/property-rules.h"

typedef enum { CELL_NONE, CELL_TEXT, CELL_BYTES, CELL_COUNT, CELL_PERCENT, CELL_TIME } CellKind;

typedef struct {
	CellKind kind; /* NONE: there is nothing to show */
	char *text;    /* owned */
	guint64 number;
} Cell;

static void cell_clear(Cell *cell)
{
	g_free(cell->text);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Cell, cell_clear)

struct ListColumn {
	const char *name;
	Cell (*get)(const ListColumn *column, const ListRow *row);
	gboolean right;
	gboolean always; /* also of a volume that cannot be read */
	gboolean counts; /* needs list_row_count_snapshots() */
};

/* ---- rows */

ListRow *list_row_new(const Config *config, const VolumeName *name)
{
	ListRow *row = g_new0(ListRow, 1);
	g_autoptr(Places) places = places_new(config, name);

	row->text = volume_name_format(name);
	row->name = volume_name_parse(row->text, NULL);
	row->attachment = attachment_inspect(places);
	row->trouble = trouble_find(row->attachment, row->text);
	return row;
}

void list_row_free(ListRow *row)
{
	volume_name_free(row->name);
	g_free(row->text);
	attachment_free(row->attachment);
	g_free(row->trouble);
	g_free(row);
}

void list_row_count_snapshots(ListRow *row, const Config *config)
{
	SnapshotVolume *volume =
		row->attachment->facts_error || pool_is_ceph(config, row->name)
			? NULL
			: snapshot_volume_open(config, row->name, SNAPSHOT_VOLUME_READ, NULL);

	if (!volume)
		return;
	row->counted = TRUE;
	row->held = (guint64)json_get_number(volume->list, "held");
	for (guint i = 0; i < snapshot_volume_count(volume); i++)
		if (!g_strcmp0(json_get_text(snapshot_volume_get(volume, i), "state"), "ok"))
			row->snapshots++;
	snapshot_volume_close(volume, NULL);
}

/* ---- what the columns have */

static Cell cell_text(const char *text)
{
	return (Cell){.kind = text && *text ? CELL_TEXT : CELL_NONE, .text = g_strdup(text)};
}

static Cell cell_number(CellKind kind, guint64 number)
{
	return (Cell){.kind = kind, .number = number};
}

#define GETTER(what, value)                                                                        \
	static Cell get_##what(const ListColumn *column, const ListRow *row)                       \
	{                                                                                          \
		const Attachment *attachment = row->attachment;                                    \
		const Facts *facts = &attachment->facts;                                           \
                                                                                                   \
		(void)column;                                                                      \
		(void)facts;                                                                       \
		return value;                                                                      \
	}

GETTER(volume, cell_text(row->text))
GETTER(name, cell_text(row->name->name))
GETTER(pool, cell_text(row->name->pool))
GETTER(size, cell_number(CELL_BYTES, facts->size))
GETTER(used, cell_number(CELL_BYTES, facts->allocated))
GETTER(uuid, cell_text(facts->uuid))
GETTER(path, cell_text(facts->path))
GETTER(via, cell_text(attachment_via(attachment)))
GETTER(device, cell_text(attachment->device))
GETTER(link, cell_text(attachment->link))
GETTER(base, cell_text(facts->base))
GETTER(write_cache, cell_text(facts_write_cache(facts)))
GETTER(block_size, cell_number(CELL_COUNT, facts->logical_block_size))
GETTER(scrubbed, cell_number(facts->scrub_time ? CELL_TIME : CELL_NONE, facts->scrub_time))
GETTER(snapshots, cell_number(row->counted ? CELL_COUNT : CELL_NONE, row->snapshots))
GETTER(held, cell_number(row->counted ? CELL_BYTES : CELL_NONE, row->held))

static Cell get_percent(const ListColumn *column, const ListRow *row)
{
	const Facts *facts = &row->attachment->facts;
	double share = facts->size ? (double)facts->allocated / (double)facts->size : 0;

	(void)column;
	return cell_number(CELL_PERCENT, (guint64)(share * 100 + 0.5));
}

/* Of a volume that cannot be read, the reason. */
static Cell get_state(const ListColumn *column, const ListRow *row)
{
	const Attachment *attachment = row->attachment;
	const Facts *facts = &attachment->facts;

	(void)column;
	if (attachment->facts_error)
		return cell_text(attachment->facts_error->message);
	return (Cell){.kind = CELL_TEXT,
		      .text = g_strdup_printf(
			      "%s%s%s%s%s", attachment_state_name(attachment->state),
			      facts->depth ? ", linked to " : "", facts->base,
			      row->trouble ? "; " : "", row->trouble ? row->trouble : "")};
}

/* Bytes of the requests of this kind since the server opened the volume. */
static Cell cell_of_requests(const ListRow *row, const char *kind)
{
	const Sample *sample = row->attachment->sample;
	Json *operations = sample ? json_get_object(sample->data, "operations") : NULL;
	Json *requests = json_get_object(operations, kind);

	return requests ? cell_number(CELL_BYTES, (guint64)json_get_number(requests, "bytes"))
			: (Cell){0};
}

static Cell get_read(const ListColumn *column, const ListRow *row)
{
	(void)column;
	return cell_of_requests(row, "read");
}

static Cell get_written(const ListColumn *column, const ListRow *row)
{
	(void)column;
	return cell_of_requests(row, "write");
}

/* "a=1,b=2" */
static Cell get_labels(const ListColumn *column, const ListRow *row)
{
	g_autoptr(GString) text = g_string_new(NULL);
	Property property;
	guint at = 0;

	(void)column;
	while (properties_next(&row->attachment->facts.properties, &at, &property))
		if (g_str_has_prefix(property.key, "label."))
			g_string_append_printf(text, "%s%s=%s", text->len ? "," : "",
					       property.key + strlen("label."), property.value);
	return cell_text(text->str);
}

static Cell get_property(const ListColumn *column, const ListRow *row)
{
	Property property = {.key = ""};

	g_strlcpy(property.key, column->name, sizeof property.key);
	if (!properties_get(&row->attachment->facts.properties, column->name, property.value))
		return (Cell){0};
	return (Cell){.kind = CELL_TEXT, .text = property_show(&property)};
}

static const ListColumn all_columns[] = {
	{.name = "volume", .get = get_volume, .always = TRUE},
	{.name = "name", .get = get_name, .always = TRUE},
	{.name = "pool", .get = get_pool, .always = TRUE},
	{.name = "size", .get = get_size, .right = TRUE},
	{.name = "used", .get = get_used, .right = TRUE},
	{.name = "percent", .get = get_percent, .right = TRUE},
	{.name = "state", .get = get_state, .always = TRUE},
	{.name = "uuid", .get = get_uuid},
	{.name = "path", .get = get_path},
	{.name = "via", .get = get_via},
	{.name = "device", .get = get_device},
	{.name = "link", .get = get_link},
	{.name = "base", .get = get_base},
	{.name = "write_cache", .get = get_write_cache},
	{.name = "block_size", .get = get_block_size, .right = TRUE},
	{.name = "scrubbed", .get = get_scrubbed},
	{.name = "snapshots", .get = get_snapshots, .right = TRUE, .counts = TRUE},
	{.name = "held", .get = get_held, .right = TRUE, .counts = TRUE},
	{.name = "read", .get = get_read, .right = TRUE},
	{.name = "written", .get = get_written, .right = TRUE},
	{.name = "labels", .get = get_labels},
};

/* ---- finding columns */

static char *columns_describe(void)
{
	GString *text = g_string_new(NULL);
	g_autofree char *keys = property_rule_keys();

	for (guint i = 0; i < G_N_ELEMENTS(all_columns); i++)
		g_string_append_printf(text, "%s, ", all_columns[i].name);
	g_string_append(text, keys);
	return g_string_free(text, FALSE);
}

static void column_free(gpointer data)
{
	ListColumn *column = data;

	g_free((char *)column->name);
	g_free(column);
}

/* NULL with INVALID.  A property that only a later version knows has a name, too. */
static ListColumn *column_new(const char *name, GError **error)
{
	ListColumn column = {.name = name, .get = get_property};
	g_autofree char *names = NULL;
	gboolean found = property_rule_find(name) != NULL;
	ListColumn *copy;

	for (guint i = 0; i < G_N_ELEMENTS(all_columns); i++)
		if (!strcmp(all_columns[i].name, name)) {
			column = all_columns[i];
			found = TRUE;
		}
	if (!found) {
		names = columns_describe();
		error_set(error, STORAGEOS_ERROR_INVALID, "no column '%s' (%s)", name, names);
		return NULL;
	}
	copy = g_new(ListColumn, 1);
	*copy = column;
	copy->name = g_strdup(name);
	return copy;
}

GPtrArray *list_columns_parse(const char *text, GError **error)
{
	g_autoptr(GPtrArray) columns = g_ptr_array_new_with_free_func(column_free);
	g_auto(GStrv) names = g_strsplit(text, ",", -1);

	for (guint i = 0; names[i]; i++) {
		ListColumn *column = column_new(g_strstrip(names[i]), error);

		if (!column)
			return NULL;
		g_ptr_array_add(columns, column);
	}
	if (columns->len)
		return g_steal_pointer(&columns);
	error_set(error, STORAGEOS_ERROR_INVALID, "no column is named");
	return NULL;
}

gboolean list_columns_need_snapshots(const GPtrArray *columns)
{
	for (guint i = 0; i < columns->len; i++)
		if (((const ListColumn *)g_ptr_array_index(columns, i))->counts)
			return TRUE;
	return FALSE;
}

char *list_column_heading(const ListColumn *column)
{
	return column->get == get_percent ? g_strdup("USED%") : g_ascii_strup(column->name, -1);
}

gboolean list_column_is_right(const ListColumn *column)
{
	return column->right;
}

/* ---- showing, sorting */

static gboolean column_is_known(const ListColumn *column, const ListRow *row)
{
	return column->always || !row->attachment->facts_error;
}

static char *time_show(guint64 seconds)
{
	g_autoptr(GDateTime) time = g_date_time_new_from_unix_local((gint64)seconds);

	return time ? g_date_time_format(time, "%F %T") : g_strdup("?");
}

char *list_column_show(const ListColumn *column, const ListRow *row, gboolean exact)
{
	g_auto(Cell) cell = {0};

	if (!column_is_known(column, row))
		return g_strdup("?");
	cell = column->get(column, row);
	if (cell.kind == CELL_NONE)
		return g_strdup("-");
	if (cell.kind == CELL_TEXT)
		return text_printable(cell.text);
	if (cell.kind == CELL_BYTES && !exact)
		return size_format(cell.number);
	if (cell.kind == CELL_TIME && !exact)
		return time_show(cell.number);
	return g_strdup_printf("%" G_GUINT64_FORMAT "%s", cell.number,
			       cell.kind == CELL_PERCENT && !exact ? " %" : "");
}

static int cells_compare(const Cell *a, const Cell *b)
{
	return a->text && b->text ? strcmp(a->text, b->text)
				  : (a->number > b->number) - (a->number < b->number);
}

int list_column_compare(const ListColumn *column, const ListRow *a, const ListRow *b,
			gboolean reverse)
{
	g_auto(Cell) first = {0}, second = {0};

	if (column_is_known(column, a))
		first = column->get(column, a);
	if (column_is_known(column, b))
		second = column->get(column, b);
	if (!first.kind || !second.kind)
		return (first.kind == CELL_NONE) - (second.kind == CELL_NONE);
	return reverse ? cells_compare(&second, &first) : cells_compare(&first, &second);
}
