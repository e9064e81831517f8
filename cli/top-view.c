/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/top-view.h"

#include <string.h>

#include "common/base/text.h"
#include "common/base/units.h"

#define NAME_WIDTH 24
#define INVERSE "\033[7m"
#define RED "\033[31m"
#define PLAIN "\033[m"

typedef struct {
	char *name;
	const char *state;
	double read, write;		/* requests a second */
	double read_bytes, write_bytes; /* a second */
	guint64 mean, longest;		/* ns: of reads and writes; 99 % of the slower of the two */
	guint64 held;			/* ns: what a request waited for the limits, in the mean */
	gboolean limited;
	gint64 in_flight;
	double used; /* percent */
} Row;

static void row_free(gpointer data)
{
	Row *row = data;

	g_free(row->name);
	g_free(row);
}

gboolean top_order_of_key(int key, TopOrder *ret_order)
{
	static const char keys[] = "iblun";
	const char *at = key > 0 ? strchr(keys, key) : NULL;

	if (at)
		*ret_order = (TopOrder)(at - keys);
	return at != NULL;
}

/* ---- the rows */

static double percent_used(const Sample *sample)
{
	Json *space = json_get_object(sample->data, "space");
	double size = (double)json_get_number(space, "size");
	Json *data = NULL;

	/* Of an image of Ceph only what it takes is known. */
	json_object_object_get_ex(space, "data", &data);
	return size > 0 ? 100. * (double)json_get_number(space, data ? "data" : "allocated") / size
			: 0;
}

/* Adds to the row what the requests of one direction waited for its limits, all together. */
static void row_add_held(Row *row, const Sample *sample, const Sample *before,
			 const char *direction)
{
	Json *limit = sample_limit(sample, direction);
	Json *earlier = before ? sample_limit(before, direction) : NULL;

	row->limited |= json_get_number(limit, "iops") || json_get_number(limit, "bytes");
	row->held +=
		(guint64)(json_get_number(limit, "wait_ns") - json_get_number(earlier, "wait_ns"));
}

static Row *row_new(const Sample *sample, const Sample *before)
{
	static const MetricsOperation none;
	const char *state = json_get_text(sample->data, "state");
	double seconds = before ? (double)(sample->taken - before->taken) / G_USEC_PER_SEC
				: (double)json_get_number(sample->data, "served_seconds");
	MetricsOperation changes[2];
	Row *row = g_new0(Row, 1);
	guint64 count = 0, ns = 0;

	for (guint i = 0; i < 2; i++) {
		MetricsKind kind = i ? METRICS_WRITE : METRICS_READ;
		guint64 slow;

		changes[i] = metrics_since(&sample->operations[kind],
					   before ? &before->operations[kind] : &none);
		slow = metrics_percentile(&changes[i], .99);
		row->longest = MAX(row->longest, slow);
		count += metrics_count(&changes[i]);
		ns += changes[i].nanoseconds;
	}
	seconds = MAX(seconds, 1e-3);
	row->name = text_printable(sample_volume(sample));
	row->state = state ? state : "?";
	row->read = (double)metrics_count(&changes[0]) / seconds;
	row->write = (double)metrics_count(&changes[1]) / seconds;
	row->read_bytes = (double)changes[0].bytes / seconds;
	row->write_bytes = (double)changes[1].bytes / seconds;
	row->mean = count ? ns / count : 0;
	row_add_held(row, sample, before, "read");
	row_add_held(row, sample, before, "write");
	row->held /= MAX(count, 1);
	row->in_flight = json_get_number(sample->data, "in_flight");
	row->used = percent_used(sample);
	return row;
}

static double row_weight(const Row *row, TopOrder order)
{
	switch (order) {
	case TOP_BY_IOPS:
		return row->read + row->write;
	case TOP_BY_BYTES:
		return row->read_bytes + row->write_bytes;
	case TOP_BY_LATENCY:
		return (double)row->longest;
	case TOP_BY_USED:
		return row->used;
	case TOP_BY_NAME:
		break;
	}
	return 0;
}

/* The largest first; equal ones by name. */
static gint rows_compare(gconstpointer a, gconstpointer b, gpointer order)
{
	const Row *one = *(Row *const *)a, *other = *(Row *const *)b;
	double first = row_weight(one, (TopOrder)GPOINTER_TO_INT(order));
	double second = row_weight(other, (TopOrder)GPOINTER_TO_INT(order));

	if (first > second || first < second)
		return first > second ? -1 : 1;
	return strcmp(one->name, other->name);
}

/* ---- the lines */

/* Adds the line, cut to what there is room for, between the sequences. */
static void line_add(const TopView *view, GString *text, const char *line, const char *begin)
{
	gsize length = strlen(line);

	if (view->columns)
		length = text_whole_length(line, MIN(length, view->columns));
	if (view->colours)
		g_string_append(text, begin);
	g_string_append_len(text, line, (gssize)length);
	if (view->colours && *begin)
		g_string_append(text, PLAIN);
	g_string_append_c(text, '\n');
}

static void row_add(const TopView *view, GString *text, const Row *row)
{
	char mean[16], slow[16], held[16];
	g_autofree char *line = g_strdup_printf(
		"%-*s %8.0f %8.0f %8.1f %8.1f %8s %8s %8s %7" G_GINT64_FORMAT " %5.0f%% %s",
		NAME_WIDTH, row->name, row->read, row->write, row->read_bytes / (double)MIB,
		row->write_bytes / (double)MIB, sample_duration(row->mean, mean, sizeof mean),
		sample_duration(row->longest, slow, sizeof slow),
		row->limited ? sample_duration(row->held, held, sizeof held) : "-", row->in_flight,
		row->used, row->state);

	line_add(view, text, line, g_strcmp0(row->state, "failed") ? "" : RED);
}

static void heading_add(const TopView *view, GString *text)
{
	g_autofree char *line = g_strdup_printf(
		"%-*s %8s %8s %8s %8s %8s %8s %8s %7s %6s %s", NAME_WIDTH, "VOLUME", "R/S", "W/S",
		"RMIB/S", "WMIB/S", "MEAN", "99%", "HELD", "WAITING", "USED", "STATE");

	line_add(view, text, line, INVERSE);
}

/* What is above the table on a screen. */
static void head_add(const TopView *view, GString *text)
{
	static const char *const orders[] = {"requests", "bytes", "latency", "used", "name"};
	g_autoptr(GDateTime) now = g_date_time_new_now_local();
	g_autofree char *time = now ? g_date_time_format(now, "%T") : NULL;
	g_autofree char *line =
		g_strdup_printf("storageos top  %s  %u volumes, by %s   i b l u n: sort   q: quit",
				time ? time : "", view->now->len, orders[view->order]);

	line_add(view, text, line, "");
}

char *top_view_format(const TopView *view)
{
	g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func(row_free);
	GString *text = g_string_new(NULL);
	guint around = (view->screen ? 2 : 1) + (view->problems->len ? 1 : 0) + view->pools->len,
	      room;

	for (guint i = 0; i < view->now->len; i++) {
		const Sample *sample = g_ptr_array_index(view->now, i);

		g_ptr_array_add(rows, row_new(sample, sample_find_earlier(view->before, sample)));
	}
	g_ptr_array_sort_with_data(rows, rows_compare, GINT_TO_POINTER((gint)view->order));
	if (view->screen)
		head_add(view, text);
	heading_add(view, text);
	/* The cursor needs the last line. */
	room = view->lines ? view->lines - MIN(view->lines, around + 1) : rows->len;
	for (guint i = 0; i < rows->len && i < room; i++)
		row_add(view, text, g_ptr_array_index(rows, i));
	for (guint i = 0; i < view->pools->len; i++)
		line_add(view, text, g_ptr_array_index(view->pools, i), RED);
	if (view->problems->len) {
		g_autofree char *line =
			g_strdup_printf("%u do not answer: %s", view->problems->len,
					(const char *)g_ptr_array_index(view->problems, 0));
		g_autofree char *printable = text_printable(line);

		line_add(view, text, printable, RED);
	}
	return g_string_free(text, FALSE);
}
