/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool events: takes the events of pools that are waiting (pool-event.h), and runs for each all
 * executables in the directory pool.d (hooks.h).  If the pool is fuller than before, also starts
 * the administrator's unit, if there is one.
 */
#include <stdio.h>

#include "cli/hooks.h"
#include "cli/pool-verbs.h"
#include "cli/process.h"
#include "cli/service.h"
#include "cli/system-log.h"
#include "common/base/error.h"
#include "common/base/units.h"
#include "common/service/pool-event.h"

#define DIRECTORY "pool.d"
#define SECONDS 60
#define UNIT "storageos-pool-full"

static const char *event_direction(const PoolEvent *event)
{
	return event->mark > event->before ? "up" : "down";
}

static void number_export(const char *name, guint64 number)
{
	g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT, number);

	g_setenv(name, text, TRUE);
}

static void event_export(const PoolEvent *event)
{
	g_setenv("POOL", event->pool, TRUE);
	g_setenv("DIRECTION", event_direction(event), TRUE);
	number_export("MARK", event->mark);
	number_export("BEFORE", event->before);
	number_export("PERCENT", event->percent);
	number_export("SIZE", event->size);
	number_export("FREE", event->free);
}

/* Runs all of them, whether or not one fails.  Returns how many failed. */
static guint hooks_run(const GPtrArray *hooks, const PoolEvent *event)
{
	guint failed = 0;

	event_export(event);
	for (guint i = 0; i < hooks->len; i++) {
		const char *path = g_ptr_array_index(hooks, i);
		const char *const argv[] = {path, event_direction(event), event->pool, NULL};
		g_autoptr(GError) error = NULL;

		if (process_run(argv, SECONDS, &error))
			continue;
		cli_say("pool events: %s: %s", path, error->message);
		failed++;
	}
	return failed;
}

/* FALSE if there is a unit that cannot be started; does not wait for its end. */
static gboolean unit_start(const PoolEvent *event)
{
	g_autofree char *unit = service_name(UNIT, event->pool);
	const char *const argv[] = {"systemctl", "start", "--no-block", unit, NULL};
	g_autoptr(GError) error = NULL;

	if (event->mark <= event->before || !service_available(UNIT) ||
	    process_run(argv, SECONDS, &error))
		return TRUE;
	cli_say("pool events: %s: %s", unit, error->message);
	return FALSE;
}

static Json *event_to_json(const PoolEvent *event, guint failed)
{
	Json *object = json_object_new_object();

	json_add_text(object, "pool", event->pool);
	json_add_text(object, "direction", event_direction(event));
	json_add_number(object, "mark", event->mark);
	json_add_number(object, "before", event->before);
	json_add_number(object, "percent", event->percent);
	json_add_number(object, "size", event->size);
	json_add_number(object, "free", event->free);
	json_add_number(object, "time", (guint64)event->time);
	json_add_number(object, "failed", failed);
	return object;
}

static void event_print(const PoolEvent *event)
{
	g_autofree char *size = size_format(event->size), *room = size_format(event->free);

	printf("%s: %u %% of %s, %s free (warn=%u, before %u)\n", event->pool, event->percent, size,
	       room, event->mark, event->before);
}

/* FALSE if an executable failed, or the event could not be read. */
static gboolean event_handle(const Cli *cli, const char *pool, const GPtrArray *hooks,
			     Json *objects)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(PoolEvent) event = pool_event_take(cli->config, pool, &error);
	guint failed;

	system_log_about(NULL, pool);
	if (!event)
		return g_error_matches(error, STORAGEOS_ERROR, STORAGEOS_ERROR_NOT_FOUND) ||
		       cli_failed(error) == CLI_DONE;
	if (!cli->json && !cli->quiet)
		event_print(event);
	fflush(stdout);
	failed = hooks_run(hooks, event) + (unit_start(event) ? 0 : 1);
	json_object_array_add(objects, event_to_json(event, failed));
	return !failed;
}

static int events_run(int argc, char **argv)
{
	g_autoptr(GPtrArray) hooks = NULL, pools = NULL;
	g_autoptr(Json) objects = json_object_new_array();
	g_auto(Cli) cli = {0};
	gboolean good = TRUE;
	int status;

	if (!cli_start(&cli, &pool_verb_events, NULL, 0, 0, argc, argv, &status))
		return status;
	hooks = hooks_find(cli.config, DIRECTORY);
	pools = pool_event_list(cli.config);
	for (guint i = 0; i < pools->len; i++)
		good &= event_handle(&cli, g_ptr_array_index(pools, i), hooks, objects);
	if (cli.json)
		cli_print_json(objects);
	return good ? CLI_DONE : CLI_FAILED;
}

const Verb pool_verb_events = {"pool events", "", "run the executables in pool.d for new events",
			       events_run};
