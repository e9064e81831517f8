/* SPDX-License-Identifier: Apache-2.0 */
#include "common/service/snapshot-commands.h"

#include <string.h>
#include <unistd.h>

#include "common/base/autofd.h"
#include "common/base/bounds.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/base/units.h"
#include "common/check/scrub.h"
#include "common/engine/volume-base.h"
#include "common/engine/volume-flatten.h"
#include "common/engine/volume-usage.h"
#include "common/service/readers.h"

#define PREFIX "snapshot-"
#define FLATTEN_BYTES_MAX (64 * MIB) /* of one step: other clients of the server wait for it */

typedef struct {
	Volume *volume;
	const char *run_directory;
	Json *request;
} Command;

static guint64 number_get(Json *request, const char *key)
{
	return (guint64)max_i64(json_get_number(request, key), 0);
}

/* The text of a member that must be there. */
static const char *text_get(Json *request, const char *key, GError **error)
{
	const char *text = json_get_text(request, key);

	if (!text)
		error_set(error, STORAGEOS_ERROR_INVALID, "`%s` is missing", key);
	return text;
}

/* ---- making */

static Json *command_begin(const Command *command, GError **error)
{
	const VolumeSnapshotParameters parameters = {
		.name = text_get(command->request, "name", error),
		.created = json_get_number(command->request, "created"),
		.group = number_get(command->request, "group"),
		.frozen = json_get_flag(command->request, "frozen"),
		.by_policy = json_get_flag(command->request, "by_policy")};
	guint64 generation;
	Json *answer;

	if (!parameters.name ||
	    !volume_snapshot_begin(command->volume, &parameters, &generation, error))
		return NULL;
	answer = json_object_new_object();
	json_add_number(answer, "generation", generation);
	return answer;
}

static Json *command_wait(const Command *command, GError **error)
{
	g_autoptr(GError) problem = NULL;
	gboolean done =
		volume_snapshot_wait(command->volume, number_get(command->request, "generation"),
				     SNAPSHOT_WAIT_SECONDS, &problem);
	Json *answer;

	if (!done && !g_error_matches(problem, STORAGEOS_ERROR, STORAGEOS_ERROR_BUSY)) {
		g_propagate_error(error, g_steal_pointer(&problem));
		return NULL;
	}
	answer = json_object_new_object();
	json_add_flag(answer, "done", done);
	return answer;
}

/* ---- listing */

static const char *state_name(VolumeSnapshotState state)
{
	switch (state) {
	case VOLUME_SNAPSHOT_ALIVE:
		return "ok";
	case VOLUME_SNAPSHOT_DELETING:
		return "deleting";
	case VOLUME_SNAPSHOT_BOOKMARK:
		return "bookmark";
	case VOLUME_SNAPSHOT_RECEIVING:
		return "receiving";
	}
	return "?";
}

static Json *tags_to_json(Volume *volume, const VolumeSnapshotInfo *info)
{
	g_autoptr(GPtrArray) tags =
		info->holds ? volume_snapshot_tags(volume, info->generation) : NULL;
	Json *array = json_object_new_array();

	for (guint i = 0; tags && i < tags->len; i++)
		json_object_array_add(array, json_text_new(g_ptr_array_index(tags, i)));
	return array;
}

static Json *snapshot_to_json(Volume *volume, const VolumeSnapshotInfo *info)
{
	Json *object = json_object_new_object();

	json_add_text(object, "name", info->name);
	json_add_text(object, "uuid", info->uuid);
	json_add_number(object, "generation", info->generation);
	json_add_text(object, "parent_uuid", *info->parent_uuid ? info->parent_uuid : NULL);
	json_object_object_add(object, "created", json_object_new_int64(info->created));
	json_add_number(object, "size", info->size);
	json_add_number(object, "referenced", info->referenced_bytes);
	json_add_flag(object, "referenced_is_bound", info->referenced_is_bound);
	json_add_number(object, "written", info->written_bytes);
	json_add_text(object, "state", state_name(info->state));
	json_add_flag(object, "waiting", info->waiting);
	json_add_flag(object, "frozen", info->frozen);
	json_add_flag(object, "by_policy", info->by_policy);
	json_add_number(object, "group", info->group);
	json_object_object_add(object, "holds", tags_to_json(volume, info));
	return object;
}

/* Data that only snapshots still have.  At least that much, if what the volume itself has is only
 * known as a bound. */
static guint64 held_bytes(const VolumeInfo *info)
{
	return info->data_bytes > info->head_bytes ? info->data_bytes - info->head_bytes : 0;
}

static Json *command_list(const Command *command, GError **error)
{
	g_autoptr(GArray) infos = volume_snapshots(command->volume);
	Json *answer = json_object_new_object(), *array = json_object_new_array();
	VolumeInfo volume;

	(void)error;
	volume_get_info(command->volume, &volume);
	json_add_text(answer, "uuid", volume.uuid);
	json_add_number(answer, "data", volume.data_bytes);
	json_add_number(answer, "metadata", volume.metadata_bytes);
	json_add_number(answer, "held", held_bytes(&volume));
	for (guint i = 0; i < infos->len; i++)
		json_object_array_add(
			array, snapshot_to_json(command->volume,
						&g_array_index(infos, VolumeSnapshotInfo, i)));
	json_object_object_add(answer, "snapshots", array);
	return answer;
}

/* ---- what deleting frees */

static const VolumeSnapshotInfo *info_find(const GArray *infos, guint64 generation)
{
	for (guint i = 0; i < infos->len; i++) {
		const VolumeSnapshotInfo *info = &g_array_index(infos, VolumeSnapshotInfo, i);

		if (info->generation == generation)
			return info;
	}
	return NULL;
}

/* The snapshots with content from `to` back to `from`.  NULL with NOT_FOUND: there is no such way.
 */
static GArray *run_find(Volume *volume, guint64 from, guint64 to, GError **error)
{
	g_autoptr(GArray) infos = volume_snapshots(volume);
	g_autoptr(GArray) run = g_array_new(FALSE, FALSE, sizeof(guint64));

	for (const VolumeSnapshotInfo *info = info_find(infos, to); info;
	     info = info_find(infos, info->parent)) {
		if (info->state == VOLUME_SNAPSHOT_ALIVE)
			g_array_append_val(run, info->generation);
		if (info->generation == from)
			return g_steal_pointer(&run);
	}
	error_set(error, STORAGEOS_ERROR_NOT_FOUND,
		  "a snapshot was deleted at this moment; try again");
	return NULL;
}

static Json *usage_to_json(const VolumeUsage *usage)
{
	Json *answer = json_object_new_object(), *array = json_object_new_array();

	json_add_flag(answer, "done", usage->done);
	json_object_object_add(answer, "fraction", json_object_new_double(usage->fraction));
	for (guint i = 0; i < usage->counts->len; i++) {
		const VolumeUsageCount *count = &g_array_index(usage->counts, VolumeUsageCount, i);
		Json *object = json_object_new_object();

		json_add_number(object, "generation", count->generation);
		json_add_number(object, "bytes", count->bytes);
		json_add_number(object, "waiting", count->waiting);
		json_add_flag(object, "moving", count->moving);
		json_add_flag(object, "damaged", count->damaged);
		json_object_array_add(array, object);
	}
	json_object_object_add(answer, "counts", array);
	return answer;
}

static Json *command_usage(const Command *command, GError **error)
{
	guint64 to = number_get(command->request, "to");
	g_autoptr(GArray) run =
		to ? run_find(command->volume, number_get(command->request, "from"), to, error)
		   : g_array_new(FALSE, FALSE, sizeof(guint64));
	VolumeUsageQuestion question = {.begin = json_get_flag(command->request, "begin"),
					.rate = SCRUB_RATE,
					.milliseconds = SNAPSHOT_USAGE_MILLISECONDS};
	g_auto(VolumeUsage) usage = {0};

	if (!run)
		return NULL;
	if (json_get_typed(command->request, "rate", json_type_int))
		question.rate = number_get(command->request, "rate");
	question.generations = (const void *)run->data;
	question.n = run->len;
	if (to && !run->len) { /* a bookmark */
		usage = (VolumeUsage){TRUE, 1, g_array_new(FALSE, FALSE, sizeof(VolumeUsageCount))};
		return usage_to_json(&usage);
	}
	return volume_usage(command->volume, &question, &usage, error) ? usage_to_json(&usage)
								       : NULL;
}

Json *snapshot_summary(Volume *volume, const VolumeInfo *info)
{
	g_autoptr(GArray) infos = volume_snapshots(volume);
	guint64 count = 0, kept = 0, deleting = 0;
	Json *summary = json_object_new_object();
	gint64 newest = 0;

	for (guint i = 0; i < infos->len; i++) {
		const VolumeSnapshotInfo *snapshot = &g_array_index(infos, VolumeSnapshotInfo, i);

		if (snapshot->state == VOLUME_SNAPSHOT_DELETING)
			deleting += snapshot->written_bytes;
		if (snapshot->state != VOLUME_SNAPSHOT_ALIVE)
			continue;
		count++;
		kept += snapshot->holds > 0;
		newest = max_i64(newest, snapshot->created);
	}
	json_add_number(summary, "count", count);
	json_add_number(summary, "kept", kept);
	json_object_object_add(summary, "newest", json_object_new_int64(newest));
	json_add_number(summary, "deleting", deleting);
	json_add_number(summary, "held", held_bytes(info));
	return summary;
}

/* ---- changing */

/* The generation of the snapshot of this name; 0 with NOT_FOUND. */
static guint64 generation_find(Volume *volume, const char *name, GError **error)
{
	g_autoptr(GArray) infos = volume_snapshots(volume);
	g_autofree char *shown = NULL;

	for (guint i = 0; i < infos->len; i++) {
		const VolumeSnapshotInfo *info = &g_array_index(infos, VolumeSnapshotInfo, i);

		if (info->state != VOLUME_SNAPSHOT_DELETING && !strcmp(info->name, name))
			return info->generation;
	}
	shown = text_excerpt(name, VOLUME_SNAPSHOT_NAME_MAX);
	error_set(error, STORAGEOS_ERROR_NOT_FOUND, "no snapshot '%s'", shown);
	return 0;
}

static Json *command_delete(const Command *command, GError **error)
{
	const char *name = text_get(command->request, "name", error);
	guint64 generation = name ? generation_find(command->volume, name, error) : 0;
	VolumeSnapshotDeleteFlags flags =
		json_get_flag(command->request, "bookmark") ? VOLUME_SNAPSHOT_DELETE_BOOKMARK : 0;
	g_autoptr(GError) problem = NULL;
	VolumeInfo volume;

	if (!generation)
		return NULL;
	volume_get_info(command->volume, &volume);
	autofd lock = readers_exclude(command->run_directory, volume.uuid, generation, error);
	if (lock < 0)
		return NULL;
	/* That one, although its name may be another's by now: only its readers are excluded. */
	if (!volume_snapshot_delete_exactly(command->volume, generation, name, flags, &problem)) {
		/* It may be deleted, and not durably yet: no reader may come any more. */
		if (!g_error_matches(problem, STORAGEOS_ERROR, STORAGEOS_ERROR_NOT_FOUND) &&
		    !g_error_matches(problem, STORAGEOS_ERROR, STORAGEOS_ERROR_BUSY) &&
		    !g_error_matches(problem, STORAGEOS_ERROR, STORAGEOS_ERROR_INVALID) &&
		    !g_error_matches(problem, STORAGEOS_ERROR, STORAGEOS_ERROR_UNSUPPORTED))
			autofd_steal(&lock);
		g_propagate_error(error, g_steal_pointer(&problem));
		return NULL;
	}
	readers_forget(command->run_directory, volume.uuid, generation);
	return json_object_new_object();
}

static Json *command_rename(const Command *command, GError **error)
{
	const char *name = text_get(command->request, "name", error);
	const char *to = name ? text_get(command->request, "to", error) : NULL;

	if (!to || !volume_snapshot_rename(command->volume, name, to, error))
		return NULL;
	return json_object_new_object();
}

/* The identity of a linked clone's base, of which only UUIDs and generation are filled in, and of
 * the clone. */
static gboolean clone_get(Json *request, BaseIdentity *ret_base, guint8 ret_clone[16],
			  GError **error)
{
	const struct {
		const char *key;
		guint8 *uuid;
	} uuids[] = {{"clone", ret_clone},
		     {"volume_uuid", ret_base->volume},
		     {"snapshot_uuid", ret_base->snapshot}};

	for (guint i = 0; i < G_N_ELEMENTS(uuids); i++) {
		const char *text = text_get(request, uuids[i].key, error);

		if (!text)
			return FALSE;
		if (!uuid_parse(text, uuids[i].uuid))
			return error_set(error, STORAGEOS_ERROR_INVALID, "`%s` is no UUID",
					 uuids[i].key);
	}
	ret_base->generation = number_get(request, "generation");
	return TRUE;
}

typedef gboolean (*CloneChange)(Volume *volume, const BaseIdentity *base, const guint8 clone[16],
				GError **error);

/* The snapshot is found by what it is: `name` is for messages. */
static Json *clone_change(const Command *command, CloneChange change, const char *name,
			  GError **error)
{
	BaseIdentity base = {0};
	guint8 clone[16];

	g_strlcpy(base.name, name, sizeof base.name);
	if (!clone_get(command->request, &base, clone, error) ||
	    !change(command->volume, &base, clone, error))
		return NULL;
	return json_object_new_object();
}

typedef gboolean (*TagChange)(Volume *volume, const char *name, const char *tag, GError **error);

static Json *hold_change(const Command *command, TagChange change, CloneChange of_clone,
			 GError **error)
{
	const char *name = text_get(command->request, "name", error);
	const char *tag;

	if (name && json_get_text(command->request, "clone"))
		return clone_change(command, of_clone, name, error);
	tag = name ? text_get(command->request, "tag", error) : NULL;
	if (!tag || !change(command->volume, name, tag, error))
		return NULL;
	return json_object_new_object();
}

static Json *command_hold(const Command *command, GError **error)
{
	return hold_change(command, volume_snapshot_hold, volume_snapshot_hold_clone, error);
}

static Json *command_release(const Command *command, GError **error)
{
	return hold_change(command, volume_snapshot_release, volume_snapshot_release_clone, error);
}

static Json *command_flatten(const Command *command, GError **error)
{
	guint64 bytes = number_get(command->request, "bytes");
	VolumeFlattening flattening;
	Json *answer;

	if (!volume_flatten(command->volume, CLAMP(bytes, MIB, FLATTEN_BYTES_MAX), &flattening,
			    error))
		return NULL;
	answer = json_object_new_object();
	json_add_number(answer, "copied", flattening.copied);
	json_add_number(answer, "left", flattening.left);
	json_add_flag(answer, "done", flattening.done);
	return answer;
}

/* ---- groups */

static Json *gate_close(const Command *command, GError **error)
{
	guint64 ticket = volume_gate_close(command->volume);
	Json *answer;

	if (!ticket) {
		error_set(error, STORAGEOS_ERROR_BUSY,
			  "another group of snapshots is being taken; try again");
		return NULL;
	}
	answer = json_object_new_object();
	json_add_number(answer, "ticket", ticket);
	return answer;
}

static Json *command_gate(const Command *command, GError **error)
{
	const char *action = text_get(command->request, "action", error);
	Json *answer;

	if (!action)
		return NULL;
	if (!strcmp(action, "close"))
		return gate_close(command, error);
	if (strcmp(action, "open") != 0) {
		error_set(error, STORAGEOS_ERROR_INVALID, "`action` must be close or open");
		return NULL;
	}
	answer = json_object_new_object();
	json_add_flag(answer, "closed",
		      volume_gate_open(command->volume, number_get(command->request, "ticket")));
	return answer;
}

/* ---- the table */

static const struct {
	const char *name;
	Json *(*run)(const Command *command, GError **error);
} commands[] = {
	{"begin", command_begin},     {"wait", command_wait},	  {"list", command_list},
	{"delete", command_delete},   {"rename", command_rename}, {"hold", command_hold},
	{"release", command_release}, {"gate", command_gate},	  {"usage", command_usage},
	{"flatten", command_flatten},
};

gboolean snapshot_command_is(const char *command)
{
	return g_str_has_prefix(command, PREFIX);
}

Json *snapshot_command(Volume *volume, const char *run_directory, const char *command,
		       Json *request, GError **error)
{
	const Command parts = {volume, run_directory, request};
	g_autofree char *shown = NULL;

	for (guint i = 0; i < G_N_ELEMENTS(commands); i++)
		if (snapshot_command_is(command) &&
		    !strcmp(command + strlen(PREFIX), commands[i].name))
			return commands[i].run(&parts, error);
	shown = text_excerpt(command, 40);
	error_set(error, STORAGEOS_ERROR_UNSUPPORTED, "no command '%s'", shown);
	return NULL;
}
