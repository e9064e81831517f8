/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/pool-view.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/files.h"
#include "common/base/json.h"
#include "common/machine/mounts.h"
#include "common/service/pool-event.h"
#include "common/service/pool-marker.h"
#include "common/service/pool-space.h"
#include "common/service/pool-store.h"

/* ---- in a child process, as the disk may not answer */

typedef struct {
	const Config *config;
	const ConfigPool *pool;
} PoolQuestion;

/* Which state an error of pool_uuid() or pool_list() means. */
static const char *state_find(const ConfigPool *pool, const GError *error)
{
	g_autofree char *marker = g_build_filename(pool->path, POOL_MARKER, NULL);

	if (pool->ceph)
		return error->code == STORAGEOS_ERROR_NOT_FOUND ? POOL_NOT_THERE
		       : error->code == STORAGEOS_ERROR_IO	? POOL_NO_ANSWER
								: POOL_UNUSABLE;
	if (!access(marker, R_OK))
		return error->code == STORAGEOS_ERROR_NOT_FOUND ||
				       error->code == STORAGEOS_ERROR_EXISTS
			       ? POOL_ANOTHER
		       : access(pool->path, R_OK | X_OK) && errno == EACCES ? POOL_DENIED
									    : POOL_UNUSABLE;
	if (errno == EACCES)
		return POOL_DENIED;
	if (errno != ENOENT && errno != ENOTDIR)
		return POOL_UNUSABLE;
	return g_file_test(pool->path, G_FILE_TEST_IS_DIR) ? POOL_NO_MARKER : POOL_NOT_THERE;
}

static void answer_add_volumes(Json *answer, const PoolQuestion *question, const GPtrArray *names)
{
	guint64 used = 0, promised = 0;

	for (guint i = 0; i < names->len; i++) {
		const VolumeName name = {.pool = question->pool->name,
					 .name = g_ptr_array_index(names, i)};
		g_autofree char *path = pool_volume_place(question->config, &name);
		VolumeSummary summary;
		struct stat st;

		used += stat(path, &st) ? 0 : (guint64)st.st_blocks * 512;
		promised += volume_summary_read(path, &summary, NULL) ? summary.size : 0;
	}
	json_add_number(answer, "used", used);
	json_add_number(answer, "promised", promised);
}

static void answer_add_mount(Json *answer, const ConfigPool *pool)
{
	g_autoptr(MountTable) table = mounts_of_process("self");
	g_autofree char *path = files_real_path(pool->path), *type = NULL;
	g_autofree char *mount = mounts_around(table, path, &type);

	json_add_text(answer, "file_system", type);
	json_add_text(answer, "mount", mount);
}

static gboolean answer_fill(Json *answer, const PoolQuestion *question, GError **error)
{
	const ConfigPool *pool = question->pool;
	g_autofree char *uuid = pool_uuid(pool, error);
	g_autoptr(GPtrArray) names = NULL;
	PoolSpace space = {0};

	if (!uuid || (pool->ceph && !pool_store_ask(pool, error)))
		return FALSE;
	json_add_text(answer, "uuid", uuid);
	if (pool_space_read(pool, &space, NULL) && space.size) {
		json_add_number(answer, "size", space.size);
		json_add_number(answer, "free", space.free);
	}
	names = pool_list(pool, error);
	if (!names)
		return FALSE;
	json_add_number(answer, "volumes", names->len);
	if (!pool->ceph)
		answer_add_volumes(answer, question, names);
	else if (space.size)
		json_add_number(answer, "used", space.size - space.free);
	return TRUE;
}

static void view_answer(gconstpointer data, int fd)
{
	g_autoptr(Json) answer = json_object_new_object();
	const PoolQuestion *question = data;
	const ConfigPool *pool = question->pool;
	g_autoptr(GError) error = NULL;

	if (!answer_fill(answer, question, &error)) {
		json_add_text(answer, "state", state_find(pool, error));
		json_add_text(answer, "error", error->message);
		json_add_number(answer, "code", (guint64)error->code);
	}
	if (!pool->ceph)
		answer_add_mount(answer, pool);
	dprintf(fd, "%s", json_object_to_json_string_ext(answer, JSON_C_TO_STRING_PLAIN));
}

/* ---- in this process */

static const char *state_known(const char *text)
{
	static const char *const states[] = {POOL_NOT_THERE, POOL_NO_MARKER, POOL_ANOTHER,
					     POOL_DENIED,    POOL_NO_ANSWER, POOL_UNUSABLE};

	for (guint i = 0; i < G_N_ELEMENTS(states); i++)
		if (!g_strcmp0(text, states[i]))
			return states[i];
	return POOL_UNUSABLE;
}

static gboolean take_number(Json *answer, const char *key, guint64 *ret_number)
{
	*ret_number = (guint64)json_get_number(answer, key);
	return json_object_object_get_ex(answer, key, NULL);
}

static void view_take_answer(PoolView *view, Json *answer)
{
	const char *problem = json_get_text(answer, "error");

	view->uuid = g_strdup(json_get_text(answer, "uuid"));
	view->file_system = g_strdup(json_get_text(answer, "file_system"));
	view->mount = g_strdup(json_get_text(answer, "mount"));
	if (problem) {
		view->state = state_known(json_get_text(answer, "state"));
		error_set(&view->error, (StorageosError)json_get_number(answer, "code"), "%s",
			  problem);
		return;
	}
	view->state = POOL_READY;
	view->ready = TRUE;
	view->measured = take_number(answer, "size", &view->size);
	view->free = (guint64)json_get_number(answer, "free");
	if (view->measured)
		view->mark = pool_event_mark(&view->pool->marks, pool_view_percent(view), 0);
	view->volumes = (guint64)json_get_number(answer, "volumes");
	view->counted = take_number(answer, "used", &view->used);
	view->promises = take_number(answer, "promised", &view->promised);
}

PoolView *pool_view_take(const Config *config, const ConfigPool *pool)
{
	const PoolQuestion question = {config, pool};
	PoolView *view = g_new0(PoolView, 1);
	g_autofree char *text = NULL;
	g_autoptr(Json) answer = NULL;

	view->pool = pool;
	view->state = POOL_NO_ANSWER;
	text = facts_ask_disk(pool, view_answer, &question, &view->error);
	answer = text ? json_tokener_parse(text) : NULL;
	if (answer)
		view_take_answer(view, answer);
	else if (!view->error)
		error_set(&view->error, STORAGEOS_ERROR_IO, "pool '%s': not read", pool->name);
	return view;
}

void pool_view_add_image(PoolView *view, const Facts *facts)
{
	view->promised += facts->size;
	view->promises = view->ready;
}

void pool_view_add_images(PoolView *view, const Config *config)
{
	g_autoptr(GPtrArray) names =
		view->ready && view->pool->ceph ? facts_list(view->pool, NULL) : NULL;

	if (!names)
		return;
	view->promises = TRUE;
	for (guint i = 0; i < names->len; i++) {
		const VolumeName name = {.pool = view->pool->name,
					 .name = g_ptr_array_index(names, i)};
		g_auto(Facts) facts = {0};

		facts_read(config, &name, &facts, NULL);
		pool_view_add_image(view, &facts);
	}
}

guint pool_view_percent(const PoolView *view)
{
	return pool_space_percent(view->size, view->free);
}

char *pool_view_problem(const PoolView *view)
{
	if (!view->ready)
		return g_strdup(view->error->message);
	return view->pool->uuid
		       ? NULL
		       : g_strdup_printf("the configuration has no UUID for this pool; to add "
					 "it: storageos pool create %s %s",
					 view->pool->name, view->pool->path);
}

void pool_view_free(PoolView *view)
{
	if (!view)
		return;
	g_clear_error(&view->error);
	g_free(view->uuid);
	g_free(view->file_system);
	g_free(view->mount);
	g_free(view);
}
