/* SPDX-License-Identifier: Apache-2.0 */
#include "common/service/pool-event.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/autofd.h"
#include "common/base/error.h"
#include "common/base/files.h"
#include "common/base/logging.h"
#include "common/base/names.h"
#include "common/base/units.h"

#define STATES "pools"
#define WAITING "pool-events"
#define EVENT_MAX 4096
#define LOCK_SECONDS 1

guint pool_event_mark(const ConfigMarks *marks, guint percent, guint before)
{
	guint passed = 0, kept = 0;

	for (guint i = 0; i < marks->n; i++) {
		if (marks->percent[i] <= percent)
			passed = marks->percent[i];
		if (marks->percent[i] <= before && marks->percent[i] <= percent + POOL_EVENT_SLACK)
			kept = marks->percent[i];
	}
	return MAX(passed, kept);
}

/* ---- its file */

static char *event_path(const Config *config, const char *directory, const char *pool)
{
	return g_build_filename(config->run_directory, directory, pool, NULL);
}

static char *event_to_text(const PoolEvent *event)
{
	g_autoptr(Json) object = json_object_new_object();

	json_add_text(object, "pool", event->pool);
	json_add_number(object, "mark", event->mark);
	json_add_number(object, "before", event->before);
	json_add_number(object, "percent", event->percent);
	json_add_number(object, "size", event->size);
	json_add_number(object, "free", event->free);
	json_add_number(object, "time", (guint64)event->time);
	return json_to_text(object);
}

static PoolEvent *event_read(const char *path, const char *pool, GError **error)
{
	g_autofree char *text = files_read(path, EVENT_MAX, NULL, error);
	g_autoptr(Json) object = text ? json_tokener_parse(text) : NULL;
	PoolEvent *event;

	if (!text)
		return NULL;
	if (g_strcmp0(json_get_text(object, "pool"), pool) != 0) {
		error_set(error, STORAGEOS_ERROR_CORRUPT, "%s is no event of the pool '%s'", path,
			  pool);
		return NULL;
	}
	event = g_new0(PoolEvent, 1);
	event->pool = g_strdup(pool);
	event->mark = (guint)json_get_number(object, "mark");
	event->before = (guint)json_get_number(object, "before");
	event->percent = (guint)json_get_number(object, "percent");
	event->size = (guint64)json_get_number(object, "size");
	event->free = (guint64)json_get_number(object, "free");
	event->time = json_get_number(object, "time");
	return event;
}

static gboolean event_write(const Config *config, const char *directory, const PoolEvent *event,
			    GError **error)
{
	g_autofree char *path = event_path(config, directory, event->pool);
	g_autofree char *parent = g_path_get_dirname(path);
	g_autofree char *text = event_to_text(event);

	return files_make_directory(parent, error) &&
	       files_write(path, text, strlen(text), 0644, FILES_REPLACE, error);
}

/* ---- noting */

static void event_log(const PoolEvent *event)
{
	g_autofree char *size = size_format(event->size), *room = size_format(event->free);
	const LoggingFields fields = {.event = "pool-mark", .pool = event->pool};

	if (event->mark > event->before)
		logging_write_fields(LOGGING_WARNING, &fields,
				     "pool %s: %u %% of %s are taken, %s are free (warn=%u)",
				     event->pool, event->percent, size, room, event->mark);
	else
		logging_write_fields(
			LOGGING_INFO, &fields,
			"pool %s: only %u %% of %s are taken now, %s are free (warn=%u)",
			event->pool, event->percent, size, room, event->before);
}

guint pool_event_noted(const Config *config, const char *pool)
{
	g_autofree char *path = event_path(config, STATES, pool);
	g_autoptr(PoolEvent) last = event_read(path, pool, NULL);

	return last ? last->mark : 0;
}

/* The event waits before it is noted: if it could not wait, it comes again. */
static gboolean note_locked(const Config *config, PoolEvent *event, const ConfigMarks *marks,
			    GError **error)
{
	event->before = pool_event_noted(config, event->pool);
	event->mark = pool_event_mark(marks, event->percent, event->before);
	if (event->mark == event->before)
		return TRUE;
	if (!event_write(config, WAITING, event, error) ||
	    !event_write(config, STATES, event, error))
		return FALSE;
	event_log(event);
	return TRUE;
}

gboolean pool_event_note(const Config *config, const ConfigPool *pool, const PoolSpace *space,
			 GError **error)
{
	PoolEvent event = {.pool = pool->name,
			   .percent = pool_space_percent(space->size, space->free),
			   .size = space->size,
			   .free = space->free,
			   .time = g_get_real_time() / G_USEC_PER_SEC};
	guint before = pool_event_noted(config, pool->name);
	g_autofree char *directory = g_build_filename(config->run_directory, STATES, NULL);
	autofd lock = -1;

	if (pool_event_mark(&pool->marks, event.percent, before) == before)
		return TRUE;
	if (!files_make_directory(directory, error))
		return FALSE;
	lock = files_lock(directory, LOCK_SECONDS, error);
	return lock >= 0 && note_locked(config, &event, &pool->marks, error);
}

/* ---- taking */

GPtrArray *pool_event_list(const Config *config)
{
	GPtrArray *pools = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *directory = g_build_filename(config->run_directory, WAITING, NULL);
	g_autoptr(GDir) dir = g_dir_open(directory, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir)))
		if (name_valid(name))
			g_ptr_array_add(pools, g_strdup(name));
	return pools;
}

/* Renames it first: if another event comes meanwhile, that one stays. */
PoolEvent *pool_event_take(const Config *config, const char *pool, GError **error)
{
	g_autofree char *path = event_path(config, WAITING, pool);
	g_autofree char *hidden = g_strdup_printf(".%s.%d", pool, (int)getpid());
	g_autofree char *taken = event_path(config, WAITING, hidden);
	PoolEvent *event;

	if (rename(path, taken)) {
		error_set_errno(error, errno, "take the event of the pool '%s'", pool);
		return NULL;
	}
	event = event_read(taken, pool, error);
	unlink(taken);
	return event;
}

void pool_event_forget(const Config *config, const char *pool)
{
	g_autofree char *state = event_path(config, STATES, pool);
	g_autofree char *waiting = event_path(config, WAITING, pool);

	unlink(state);
	unlink(waiting);
}

void pool_event_free(PoolEvent *event)
{
	if (!event)
		return;
	g_free(event->pool);
	g_free(event);
}
