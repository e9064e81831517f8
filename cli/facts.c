/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/facts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "cli/bounded.h"
#include "cli/process.h"
#include "common/base/bounds.h"
#include "common/base/error.h"
#include "common/base/json.h"
#include "common/base/text.h"
#include "common/service/claim.h"
#include "common/service/pool-base.h"
#include "common/service/pool-space.h"
#include "common/service/pool-store.h"
#include "common/service/property-command.h"

#define ANSWER_SECONDS 10

/* Until a silent disk is asked again, if somebody asks all the time; and how long it is waited for
 * then. */
#define AGAIN_SECONDS 30
#define WAKE_SECONDS 1

#define ENDING_SECONDS 1
#define STRANGER " " /* before the name of an image that is no volume */

static gboolean facts_read_summary(const char *snapshot, Facts *facts, GError **error)
{
	VolumeSummary summary;

	if (snapshot ? !volume_summary_read_snapshot(facts->path, snapshot, &summary, error)
		     : !volume_summary_read(facts->path, &summary, error))
		return FALSE;
	memcpy(facts->uuid, summary.uuid, sizeof facts->uuid);
	facts->size = summary.size;
	facts->logical_block_size = summary.logical_block_size;
	facts->write_through = summary.write_through;
	facts->properties = summary.properties;
	facts->scrub_errors = summary.scrub_errors;
	facts->scrub_time = summary.scrub_time;
	facts->allocated = summary.allocated;
	facts->missing_from = summary.missing_from;
	g_strlcpy(facts->base, summary.base, sizeof facts->base);
	if (*summary.claimed_by)
		facts->claimed_by = g_strdup(summary.claimed_by);
	return TRUE;
}

/* The process that has the volume open, in *ret_pid too.  A process that is ending is waited for:
 * it still holds its lock for some moments, and for ever if its disk does not answer. */
static char *holder_that_stays(const struct stat *st, int *ret_pid)
{
	gint64 end = g_get_monotonic_time() + ENDING_SECONDS * G_USEC_PER_SEC;
	char *holder;

	while ((holder = backing_holder_of_stat(st)) &&
	       sscanf(holder, "process %d", ret_pid) == 1 && process_is_ending(*ret_pid) &&
	       g_get_monotonic_time() < end) {
		g_free(holder);
		g_usleep(10000);
	}
	return holder;
}

/* Ignores udev, which briefly opens a block device that has changed; opening the volume waits for
 * that. */
static char *holder_of_volume(const struct stat *st)
{
	int pid = 0;
	g_autofree char *holder = holder_that_stays(st, &pid);

	if (holder && S_ISBLK(st->st_mode) && pid > 0 && process_is_of_udev(pid))
		return NULL;
	return g_steal_pointer(&holder);
}

char *facts_holder(const char *lock)
{
	struct stat st;

	return !lock || stat(lock, &st) ? NULL : holder_of_volume(&st);
}

static guint64 space_left_on(const char *path, const struct stat *st)
{
	struct statvfs fs;

	return S_ISREG(st->st_mode) && !statvfs(path, &fs) ? (guint64)fs.f_bavail * fs.f_frsize
							   : G_MAXUINT64;
}

static void facts_read_base(const Config *config, Facts *facts)
{
	g_autoptr(Backing) backing = backing_open(facts->path, BACKING_OPEN_READ_ONLY, NULL);
	BaseIdentity base;

	if (*facts->base && backing && volume_find_base(backing, &base))
		facts->depth = pool_base_depth(config, &base);
}

/* A server of a volume has locked its file; that of a snapshot, the claim to its UUID. */
static gboolean facts_read_file(const Config *config, const VolumeName *name, Facts *facts,
				GError **error)
{
	const ConfigPool *pool = name->pool ? config_find_pool(config, name->pool) : NULL;
	const char *snapshot = name->snapshot;
	PoolSpace space;
	struct stat st;

	if (stat(facts->path, &st))
		return errno == ENOENT
			       ? pool_volume_refuse_missing(config, name, facts->path, error)
			       : error_set_errno(error, errno, "look at %s", facts->path);
	facts->place = backing_place_of_stat(&st);
	facts->available = space_left_on(facts->path, &st);
	if (pool && pool->quota && pool_space_read(pool, &space, NULL))
		facts->available = min_u64(facts->available, space.free);
	if (!snapshot) {
		facts->lock = g_strdup(facts->path);
		facts->holder = facts_holder(facts->lock);
	}
	if (!facts_read_summary(snapshot, facts, error))
		return FALSE;
	if (!snapshot)
		facts_read_base(config, facts);
	if (snapshot) {
		facts->lock = claim_path(config, facts->uuid);
		facts->holder = facts_holder(facts->lock);
	}
	return TRUE;
}

/* Whoever serves it on this machine has locked the claim to its UUID. */
static gboolean facts_read_image(const Config *config, const VolumeName *name, Facts *facts,
				 GError **error)
{
	gboolean found = facts_read_summary(NULL, facts, error);

	g_free(facts->path);
	facts->path = pool_volume_place(config, name); /* for people */
	facts->available = G_MAXUINT64;
	if (!found)
		return FALSE;
	facts->lock = claim_path(config, facts->uuid);
	facts->holder = facts_holder(facts->lock);
	return TRUE;
}

static gboolean facts_read_here(const Config *config, const VolumeName *name, Facts *facts,
				GError **error)
{
	gboolean ceph = pool_is_ceph(config, name);

	if (name->snapshot && !pool_check_thin(config, name, error))
		return FALSE;
	facts->path = pool_volume_path(config, name, error);
	if (!facts->path)
		return FALSE;
	return ceph ? facts_read_image(config, name, facts, error)
		    : facts_read_file(config, name, facts, error);
}

/* ---- in a child process */

typedef struct {
	const Config *config;
	const VolumeName *name;
} Question;

static void facts_answer(gconstpointer data, int fd)
{
	const Question *question = data;
	g_autoptr(Json) object = json_object_new_object();
	g_autoptr(GError) error = NULL;
	g_auto(Facts) facts = {0};

	if (!facts_read_here(question->config, question->name, &facts, &error)) {
		json_add_text(object, "error", error->message);
		json_add_number(object, "code", (guint64)error->code);
	}
	json_add_text(object, "path", facts.path);
	json_add_text(object, "lock", facts.lock);
	json_add_text(object, "uuid", facts.uuid);
	json_add_number(object, "device", facts.place.device);
	json_add_number(object, "inode", facts.place.inode);
	json_add_number(object, "size", facts.size);
	json_add_number(object, "logical_block_size", facts.logical_block_size);
	json_add_flag(object, "write_through", facts.write_through);
	json_add_number(object, "allocated", facts.allocated);
	json_add_number(object, "missing_from", facts.missing_from);
	json_add_number(object, "scrub_errors", facts.scrub_errors);
	json_add_number(object, "scrub_time", facts.scrub_time);
	json_add_number(object, "available", facts.available);
	json_add_text(object, "holder", facts.holder);
	json_add_text(object, "claimed_by", facts.claimed_by);
	json_object_object_add(object, "properties", properties_to_json(&facts.properties));
	json_add_text(object, "base", facts.base);
	json_add_number(object, "depth", facts.depth);
	dprintf(fd, "%s", json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
}

static gboolean facts_take_answer(Json *object, Facts *facts, GError **error)
{
	const char *problem = json_get_text(object, "error");
	const char *uuid = json_get_text(object, "uuid");
	const char *base = json_get_text(object, "base");

	facts->path = g_strdup(json_get_text(object, "path"));
	facts->lock = g_strdup(json_get_text(object, "lock"));
	g_strlcpy(facts->uuid, uuid ? uuid : "", sizeof facts->uuid);
	facts->place = (BackingPlace){(guint64)json_get_number(object, "device"),
				      (guint64)json_get_number(object, "inode")};
	facts->size = (guint64)json_get_number(object, "size");
	facts->logical_block_size = (guint32)json_get_number(object, "logical_block_size");
	facts->write_through = json_get_flag(object, "write_through");
	properties_from_json(json_get_object(object, "properties"), &facts->properties);
	facts->allocated = (guint64)json_get_number(object, "allocated");
	facts->missing_from = (guint64)json_get_number(object, "missing_from");
	facts->scrub_errors = (guint64)json_get_number(object, "scrub_errors");
	facts->scrub_time = (guint64)json_get_number(object, "scrub_time");
	facts->available = (guint64)json_get_number(object, "available");
	facts->holder = g_strdup(json_get_text(object, "holder"));
	facts->claimed_by = g_strdup(json_get_text(object, "claimed_by"));
	g_strlcpy(facts->base, base ? base : "", sizeof facts->base);
	facts->depth = (guint)json_get_number(object, "depth");
	return !problem ||
	       error_set(error, (StorageosError)json_get_number(object, "code"), "%s", problem);
}

static void list_answer(gconstpointer data, int fd)
{
	g_autoptr(GPtrArray) strangers = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) names = pool_list_all(data, strangers, &error);

	if (names)
		dprintf(fd, "ok\n");
	else
		dprintf(fd, "%d %s", error->code, error->message);
	for (guint i = 0; names && i < names->len; i++)
		dprintf(fd, "%s\n", (char *)g_ptr_array_index(names, i));
	for (guint i = 0; names && i < strangers->len; i++) {
		g_autofree char *shown = text_printable(g_ptr_array_index(strangers, i));

		dprintf(fd, STRANGER "%s\n", shown);
	}
}

static void moving_answer(gconstpointer pool, int fd)
{
	g_autoptr(GPtrArray) names = pool_list_moving(pool);

	dprintf(fd, "ok\n");
	for (guint i = 0; i < names->len; i++)
		dprintf(fd, "%s\n", (char *)g_ptr_array_index(names, i));
}

static GPtrArray *list_take_answer(const char *text, GPtrArray *strangers, GError **error)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	const char *message = strchr(text, ' ');

	if (strcmp(lines[0], "ok")) {
		error_set(error, (StorageosError)g_ascii_strtoll(text, NULL, 10), "%s",
			  message ? message + 1 : "failed");
		return NULL;
	}
	for (char **line = lines + 1; *line; line++)
		if (strangers && g_str_has_prefix(*line, STRANGER))
			g_ptr_array_add(strangers, g_strdup(*line + strlen(STRANGER)));
		else if (**line && !g_str_has_prefix(*line, STRANGER))
			g_ptr_array_add(names, g_strdup(*line));
	return g_steal_pointer(&names);
}

/* Remembers the disks that did not answer, so that each of their volumes does not wait again.
 * `now` adds the disk; returns whether it is silent. */
static GHashTable *silent;

static gboolean disk_is_silent(const VolumeName *name, gboolean now)
{
	const char *disk = name->pool ? name->pool : name->name;

	if (!silent)
		silent = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	if (now) {
		gint64 *since = g_new(gint64, 1);

		*since = g_get_monotonic_time();
		g_hash_table_insert(silent, g_strdup(disk), since);
	}
	return g_hash_table_contains(silent, disk);
}

/* Whether it has been silent for long. */
static gboolean disk_may_wake(const VolumeName *name)
{
	const gint64 *since = g_hash_table_lookup(silent, name->pool ? name->pool : name->name);

	return since && g_get_monotonic_time() - *since > AGAIN_SECONDS * G_USEC_PER_SEC;
}

static gboolean facts_ask(const Config *config, const VolumeName *name, Facts *facts,
			  GError **error)
{
	const Question question = {config, name};
	g_autofree char *text = disk_is_silent(name, FALSE)
					? NULL
					: bounded_ask(facts_answer, &question, ANSWER_SECONDS);
	g_autoptr(Json) object = text ? json_tokener_parse(text) : NULL;

	if (object)
		return facts_take_answer(object, facts, error);
	disk_is_silent(name, TRUE);
	return error_set(error, STORAGEOS_ERROR_IO, "its disk does not answer (within %d s)",
			 ANSWER_SECONDS);
}

char *facts_ask_disk(const ConfigPool *pool, BoundedQuestion function, gconstpointer data,
		     GError **error)
{
	const VolumeName any = {.pool = pool->name};
	char *text =
		disk_is_silent(&any, FALSE) ? NULL : bounded_ask(function, data, ANSWER_SECONDS);

	if (text)
		return text;
	disk_is_silent(&any, TRUE);
	error_set(error, STORAGEOS_ERROR_IO, "pool '%s': %s does not answer (within %d s%s)",
		  pool->name, pool->ceph ? "Ceph" : "its disk", ANSWER_SECONDS,
		  pool->ceph ? "; see: ceph -s" : "");
	return NULL;
}

void facts_ask_disks(const ConfigPool *const *pools, guint n, BoundedQuestion function,
		     char **ret_answers)
{
	g_autofree gconstpointer *asked = g_new0(gconstpointer, n);
	g_autofree char **answers = g_new0(char *, n);
	guint seconds = WAKE_SECONDS, n_asked = 0;

	for (guint i = 0; i < n; i++) {
		const VolumeName any = {.pool = pools[i]->name};
		gboolean was_silent = disk_is_silent(&any, FALSE);

		if (!was_silent)
			seconds = ANSWER_SECONDS;
		if (!was_silent || disk_may_wake(&any))
			asked[n_asked++] = pools[i];
	}
	bounded_ask_all(function, asked, n_asked, seconds, answers);
	for (guint i = 0, at = 0; i < n; i++) {
		const VolumeName any = {.pool = pools[i]->name};

		ret_answers[i] = NULL;
		if (at == n_asked || asked[at] != pools[i])
			continue;
		ret_answers[i] = answers[at++];
		if (ret_answers[i])
			g_hash_table_remove(silent, any.pool);
		else
			disk_is_silent(&any, TRUE);
	}
}

GPtrArray *facts_list_all(const ConfigPool *pool, GPtrArray *strangers, GError **error)
{
	g_autofree char *text = facts_ask_disk(pool, list_answer, pool, error);

	return text ? list_take_answer(text, strangers, error) : NULL;
}

GPtrArray *facts_list(const ConfigPool *pool, GError **error)
{
	return facts_list_all(pool, NULL, error);
}

GPtrArray *facts_list_moving(const ConfigPool *pool)
{
	g_autofree char *text =
		pool->ceph ? g_strdup("ok") : facts_ask_disk(pool, moving_answer, pool, NULL);

	return list_take_answer(text ? text : "ok", NULL, NULL);
}

/* ---- of a pool of Ceph */

static void pool_answer(gconstpointer data, int fd)
{
	g_autoptr(Json) object = json_object_new_object();
	guint64 whole = 0, available = 0;
	g_autoptr(GError) error = NULL;

	if (!pool_store_ask(data, &error)) {
		json_add_text(object, "error", error->message);
		json_add_number(object, "code", (guint64)error->code);
	} else if (pool_store_space(data, &whole, &available, NULL)) {
		json_add_number(object, "whole", whole);
		json_add_number(object, "available", available);
	}
	dprintf(fd, "%s", json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
}

gboolean facts_ask_pool(const ConfigPool *pool, guint seconds, guint64 *ret_whole,
			guint64 *ret_available, GError **error)
{
	g_autofree char *text = bounded_ask(pool_answer, pool, seconds);
	g_autoptr(Json) object = text ? json_tokener_parse(text) : NULL;
	const char *problem = object ? json_get_text(object, "error") : NULL;

	if (!object)
		return error_set(error, STORAGEOS_ERROR_IO,
				 "pool '%s': Ceph does not answer (within %u s; see: ceph -s)",
				 pool->name, seconds);
	if (problem)
		return error_set(error, (StorageosError)json_get_number(object, "code"), "%s",
				 problem);
	*ret_whole = (guint64)json_get_number(object, "whole");
	*ret_available = (guint64)json_get_number(object, "available");
	return TRUE;
}

gboolean facts_read(const Config *config, const VolumeName *name, Facts *ret_facts, GError **error)
{
	g_autofree char *text = volume_name_format(name);

	if (facts_ask(config, name, ret_facts, error))
		return TRUE;
	g_prefix_error(error, "volume '%s': ", text);
	return FALSE;
}

const char *facts_write_cache(const Facts *facts)
{
	return facts->write_through ? "off" : "on";
}

void facts_clear(Facts *facts)
{
	g_clear_pointer(&facts->path, g_free);
	g_clear_pointer(&facts->lock, g_free);
	g_clear_pointer(&facts->holder, g_free);
	g_clear_pointer(&facts->claimed_by, g_free);
}
