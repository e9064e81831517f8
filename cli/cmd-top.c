/* SPDX-License-Identifier: Apache-2.0 */
/*
 * top: a table of the served volumes that is drawn anew each interval.
 */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/full-pools.h"
#include "cli/interrupt.h"
#include "cli/terminal.h"
#include "cli/top-view.h"
#include "common/base/error.h"
#include "common/base/output.h"

#define LOOK_MS 100 /* between two looks at signals and the size of the window */

typedef struct {
	Cli *cli;
	TopOrder order;
	guint interval, count; /* seconds; 0: no end */
	GPtrArray *now, *before, *problems, *pools;
	guint columns, lines; /* as it was drawn last */
} Top;

static void array_free(GPtrArray *array)
{
	if (array)
		g_ptr_array_unref(array);
}

static void top_clear(Top *top)
{
	array_free(top->now);
	array_free(top->before);
	array_free(top->problems);
	array_free(top->pools);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Top, top_clear)

static void top_sample(Top *top)
{
	array_free(top->before);
	array_free(top->problems);
	array_free(top->pools);
	top->before = top->now;
	top->problems = g_ptr_array_new_with_free_func(g_free);
	cli_follow_config(top->cli);
	top->now = sample_take_all(top->cli->config, top->problems);
	top->pools = full_pools(top->cli->config, NULL);
}

static char *top_format(const Top *top, gboolean screen)
{
	const TopView view = {
		.now = top->now,
		.before = top->before,
		.problems = top->problems,
		.pools = top->pools,
		.order = top->order,
		.columns = top->columns,
		.lines = top->lines,
		.screen = screen,
		.colours = screen && terminal_has_colours(),
	};

	return top_view_format(&view);
}

/* ---- without a terminal */

static int tables_print(Top *top)
{
	for (guint i = 0; !top->count || i < top->count; i++) {
		g_autofree char *text = NULL;

		if (i)
			g_usleep((gulong)top->interval * G_USEC_PER_SEC);
		top_sample(top);
		text = top_format(top, FALSE);
		printf("%s%s", i ? "\n" : "", text);
		if (!output_flush(NULL))
			break; /* the reader has gone; cli_end() reports it */
	}
	return top->problems && top->problems->len ? CLI_FAILED : CLI_DONE;
}

/* ---- on a terminal */

static void screen_draw(Top *top)
{
	g_autofree char *text = NULL;

	terminal_size(&top->columns, &top->lines);
	text = top_format(top, TRUE);
	terminal_show(text);
}

/* Until the next samples are due: keys, signals, and windows that change.  FALSE: the end. */
static gboolean screen_attend(Top *top)
{
	gint64 due = g_get_monotonic_time() + top->interval * G_USEC_PER_SEC;

	while (g_get_monotonic_time() < due) {
		int key = terminal_key(LOOK_MS);
		guint columns, lines;

		if (key < 0 || key == 'q' || !interrupt_check(NULL))
			return FALSE;
		terminal_size(&columns, &lines);
		if (top_order_of_key(key, &top->order) || columns != top->columns ||
		    lines != top->lines)
			screen_draw(top);
	}
	return TRUE;
}

static int screen_run(Top *top)
{
	g_autoptr(GError) error = NULL;

	interrupt_hold();
	if (!terminal_enter(&error)) {
		g_prefix_error(&error, "top: ");
		return cli_failed(error);
	}
	for (guint i = 0; !top->count || i < top->count; i++) {
		top_sample(top);
		screen_draw(top);
		if (!screen_attend(top))
			break;
	}
	terminal_leave();
	return CLI_DONE;
}

static int verb_top_run(int argc, char **argv)
{
	int interval = 2, count = 0, status;
	g_autofree char *sort = NULL;
	const GOptionEntry options[] = {
		{"interval", 0, 0, G_OPTION_ARG_INT, &interval, "Between two tables (default: 2)",
		 "SECONDS"},
		{"count", 0, 0, G_OPTION_ARG_INT, &count, "Number of tables (default: no end)",
		 "TIMES"},
		{"sort", 0, 0, G_OPTION_ARG_FILENAME, &sort,
		 "i (requests, the default), b (bytes), l (latency), u (used) or n (name)", "KEY"},
		{0},
	};
	g_auto(Top) top = {0};
	g_auto(Cli) cli = {0};

	if (!cli_start(&cli, &verb_top, options, 0, 0, argc, argv, &status))
		return status;
	if (cli.json)
		return cli_usage("top: for programs there is: storageos stats --watch --json");
	if (interval < 1 || interval > 86400)
		return cli_usage("top: invalid --interval %d (1 to 86400 seconds)", interval);
	if (count < 0)
		return cli_usage("top: invalid --count %d (must not be negative)", count);
	if (sort && (strlen(sort) != 1 || !top_order_of_key(*sort, &top.order)))
		return cli_usage("top: invalid --sort '%s' (i, b, l, u or n)", sort);
	top.cli = &cli;
	top.interval = (guint)interval;
	top.count = (guint)count;
	return terminal_is_there() ? screen_run(&top) : tables_print(&top);
}

const Verb verb_top = {"top", "[--interval SECONDS] [--count TIMES] [--sort KEY]",
		       "watch the served volumes, the busiest first", verb_top_run};
