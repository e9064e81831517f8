/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot run: does what the policies of the configuration (policy-config.h) ask for now.  Called
 * every quarter of an hour by storageos-snapshot.timer.
 *
 * A volume that nobody serves does not change, and is left alone.  A volume or a group that fails
 * does not keep the others from their turn.
 */
#include <string.h>
#include <unistd.h>

#include "cli/interrupt.h"
#include "cli/lines.h"
#include "cli/snapshot-space.h"
#include "cli/snapshot-take.h"
#include "cli/snapshot-verbs.h"
#include "cli/system-log.h"
#include "common/base/autofd.h"
#include "common/base/error.h"
#include "common/base/files.h"
#include "common/base/units.h"
#include "common/service/policy-config.h"

#define COPIES_MAX 100u	    /* names of one minute that are tried */
#define RELIEF_SECONDS 600u /* that one volume may be freed of snapshots for space */
#define LOOK_MICROSECONDS 500000
#define DISK_SECONDS 300u /* that a snapshot may take to be durable */

/* One volume of the group that has its turn. */
typedef struct {
	const PolicyVolume *of;
	SnapshotVolume *volume;
	GArray *snapshots; /* of PolicySnapshot */
	GArray *indices;   /* of int: where each of them is in the volume's list */
	char *taken;	   /* name */
	gboolean frozen;
	GPtrArray *deleted; /* names */
} Turn;

typedef struct {
	const Cli *cli;
	GPtrArray *turns; /* of Turn *, of one group */
	Json *objects;	  /* what --json prints */
	gboolean dry;
	int status;
} Running;

static void turn_free(gpointer data)
{
	Turn *turn = data;

	g_array_unref(turn->snapshots);
	g_array_unref(turn->indices);
	g_ptr_array_unref(turn->deleted);
	g_free(turn->taken);
	g_free(turn);
}

/* What the policy may look at: neither bookmarks, nor what is being deleted or received. */
static void turn_look(Turn *turn)
{
	g_array_set_size(turn->snapshots, 0);
	g_array_set_size(turn->indices, 0);
	for (guint i = 0; i < snapshot_volume_count(turn->volume); i++) {
		Json *snapshot = snapshot_volume_get(turn->volume, i);
		Json *holds = json_get_list(snapshot, "holds");
		const PolicySnapshot seen = {.created = json_get_number(snapshot, "created"),
					     .by_policy = json_get_flag(snapshot, "by_policy"),
					     .held = holds && json_object_array_length(holds),
					     .group = (guint64)json_get_number(snapshot, "group")};

		if (g_strcmp0(json_get_text(snapshot, "state"), "ok") != 0)
			continue;
		g_array_append_val(turn->snapshots, seen);
		g_array_append_val(turn->indices, i);
	}
}

/* The one that a dry run has not taken: it is never pruned, as it is the newest. */
static void turn_look_ahead(Turn *turn, gint64 now)
{
	const PolicySnapshot newest = {.created = now, .by_policy = TRUE};
	int none = -1;

	if (!turn->taken)
		return;
	g_array_append_val(turn->snapshots, newest);
	g_array_append_val(turn->indices, none);
}

static PolicySnapshot *turn_snapshots(const Turn *turn)
{
	return (PolicySnapshot *)(void *)turn->snapshots->data;
}

/* ---- deleting */

static const char *turn_snapshot_name(const Turn *turn, guint which)
{
	int index = g_array_index(turn->indices, int, which);

	return json_get_text(snapshot_volume_get(turn->volume, (guint)index), "name");
}

static gboolean turn_delete(Turn *turn, guint which, GError **error)
{
	const char *name = turn_snapshot_name(turn, which);
	Json *request = json_object_new_object();
	g_autoptr(Json) answer = NULL;

	json_add_text(request, "name", name);
	answer = snapshot_volume_ask(turn->volume, "snapshot-delete", request, error);
	if (answer)
		g_ptr_array_add(turn->deleted, g_strdup(name));
	else
		g_prefix_error(error, "%s@%s: ", turn->volume->text, name);
	return answer != NULL;
}

/* One that cannot be deleted, as it is attached, does not keep the others, but what the other
 * volumes have of its instant: `kept`. */
static gboolean turn_prune(Turn *turn, GHashTable *kept, GError **error)
{
	gboolean all = TRUE;

	for (guint i = 0; i < turn->snapshots->len; i++) {
		PolicySnapshot *snapshot = &turn_snapshots(turn)[i];

		if (!snapshot->pruned || g_hash_table_contains(kept, &snapshot->group) ||
		    turn_delete(turn, i, all ? error : NULL))
			continue;
		if (snapshot->group)
			g_hash_table_add(kept, &snapshot->group);
		all = FALSE;
	}
	return all;
}

static void group_look(const Running *running)
{
	for (guint i = 0; i < running->turns->len; i++)
		turn_look(g_ptr_array_index(running->turns, i));
}

/* Free the result. */
static PolicyList *group_lists(const Running *running)
{
	PolicyList *lists = g_new0(PolicyList, running->turns->len);

	for (guint i = 0; i < running->turns->len; i++) {
		const Turn *turn = g_ptr_array_index(running->turns, i);

		lists[i] = (PolicyList){turn_snapshots(turn), turn->snapshots->len};
	}
	return lists;
}

static gboolean group_prune(const Running *running, GError **error)
{
	const Turn *first = g_ptr_array_index(running->turns, 0);
	g_autoptr(GHashTable) kept = g_hash_table_new(g_int64_hash, g_int64_equal);
	g_autofree PolicyList *lists = NULL;
	gboolean all = TRUE;

	for (guint i = 0; i < running->turns->len; i++) {
		const Turn *turn = g_ptr_array_index(running->turns, i);

		if (!snapshot_volume_relist(turn->volume, error))
			return FALSE;
	}
	group_look(running);
	lists = group_lists(running);
	policy_prune_group(first->of->policy, lists, running->turns->len);
	for (guint i = 0; i < running->turns->len; i++)
		all = turn_prune(g_ptr_array_index(running->turns, i), kept, all ? error : NULL) &&
		      all;
	return all;
}

/* ---- space */

/* Why space is short; NULL: it is not.  Free the result. */
static char *space_complain(const Turn *turn, gboolean *ret_below_min_free)
{
	const Policy *policy = turn->of->policy;
	guint64 held = (guint64)json_get_number(turn->volume->list, "held");
	g_autofree char *now = NULL, *limit = NULL;
	g_auto(SnapshotSpace) space = {0};

	*ret_below_min_free = snapshot_space_get(turn->volume, &space) &&
			      space.room < policy_min_free(policy, space.whole);
	if (*ret_below_min_free) {
		now = size_format(space.room);
		limit = size_format(policy_min_free(policy, space.whole));
		return g_strdup_printf("only %s of the file system of %s are free, less than "
				       "min_free (%s)",
				       now, space.path, limit);
	}
	if (!policy->max_held || held <= policy->max_held)
		return NULL;
	now = size_format(held);
	limit = size_format(policy->max_held);
	return g_strdup_printf("snapshots hold %s, more than max_held (%s)", now, limit);
}

static gboolean is_deleting_any(const SnapshotVolume *volume)
{
	for (guint i = 0; i < snapshot_volume_count(volume); i++) {
		Json *snapshot = snapshot_volume_get(volume, i);

		if (snapshot_is_deleting(snapshot) && !json_get_flag(snapshot, "waiting"))
			return TRUE;
	}
	return FALSE;
}

/* Waits until what was deleted is free.  FALSE: it is not by then, or the server has gone. */
static gboolean space_await(const Turn *turn, gint64 end)
{
	do {
		if (!snapshot_volume_relist(turn->volume, NULL) || g_get_monotonic_time() > end ||
		    !interrupt_check(NULL))
			return FALSE;
		if (!is_deleting_any(turn->volume))
			return TRUE;
		g_usleep(LOOK_MICROSECONDS);
	} while (TRUE);
}

/* Deletes what the other volumes have of that instant. */
static void others_delete(const Running *running, const Turn *turn, guint64 group)
{
	for (guint i = 0; i < running->turns->len; i++) {
		Turn *other = g_ptr_array_index(running->turns, i);

		for (guint j = 0; other != turn && group && j < other->snapshots->len; j++) {
			g_autoptr(GError) problem = NULL;

			if (turn_snapshots(other)[j].group == group &&
			    !turn_delete(other, j, &problem))
				cli_say("snapshot run: %s", problem->message);
		}
		if (other != turn)
			snapshot_volume_relist(other->volume, NULL);
	}
}

/* Deletes the oldest snapshot that can be, in all volumes that have one of its instant: one that is
 * attached does not keep the others.  FALSE: there is none. */
static gboolean turn_delete_oldest(const Running *running, Turn *turn, gint64 end)
{
	g_autofree PolicyList *lists = NULL;
	int oldest;

	group_look(running);
	lists = group_lists(running);
	policy_join(lists, running->turns->len);
	while ((oldest = policy_find_oldest(turn_snapshots(turn), turn->snapshots->len)) >= 0 &&
	       g_get_monotonic_time() < end) {
		g_autoptr(GError) problem = NULL;

		if (turn_delete(turn, (guint)oldest, &problem)) {
			others_delete(running, turn, turn_snapshots(turn)[oldest].group);
			return TRUE;
		}
		cli_say("snapshot run: %s", problem->message);
		turn_snapshots(turn)[oldest].held = TRUE;
	}
	return FALSE;
}

/* Deletes the oldest snapshots while space is short.  FALSE: it still is below min_free. */
static gboolean turn_relieve(const Running *running, Turn *turn, GError **error)
{
	gint64 end = g_get_monotonic_time() + RELIEF_SECONDS * G_TIME_SPAN_SECOND;
	gboolean below = FALSE, more = TRUE;

	while (more) {
		g_autofree char *why = space_complain(turn, &below);

		if (!why)
			return TRUE;
		more = turn_delete_oldest(running, turn, end);
		if (more)
			cli_say("snapshot run: %s: %s: deleted %s", turn->volume->text, why,
				(char *)g_ptr_array_index(turn->deleted, turn->deleted->len - 1));
		if (!more && below)
			return error_set(
				error, STORAGEOS_ERROR_NO_SPACE,
				"%s: %s, and there is no snapshot to delete: none is taken",
				turn->volume->text, why);
		more = more && space_await(turn, end);
	}
	return !below ||
	       error_set(error, STORAGEOS_ERROR_NO_SPACE,
			 "%s: the space of deleted snapshots is not free yet; none is taken",
			 turn->volume->text);
}

/* ---- taking */

static gboolean group_is_due(const Running *running, gint64 now)
{
	for (guint i = 0; i < running->turns->len; i++) {
		const Turn *turn = g_ptr_array_index(running->turns, i);

		if (policy_is_due(turn->of->policy, turn_snapshots(turn), turn->snapshots->len,
				  now))
			return TRUE;
	}
	return FALSE;
}

static gboolean name_is_free(const Running *running, const char *name)
{
	for (guint i = 0; i < running->turns->len; i++) {
		const Turn *turn = g_ptr_array_index(running->turns, i);

		if (snapshot_volume_find(turn->volume, name, NULL))
			return FALSE;
	}
	return TRUE;
}

/* A name that is free in all volumes of the group: the clock may have been set back. */
static char *name_choose(const Running *running, gint64 now)
{
	for (guint copy = 0;; copy++) {
		g_autofree char *name = policy_snapshot_name(now, copy);

		if (copy == COPIES_MAX || name_is_free(running, name))
			return g_steal_pointer(&name);
	}
}

static gboolean group_take(Running *running, gint64 now, GError **error)
{
	const Turn *first = g_ptr_array_index(running->turns, 0);
	g_autofree SnapshotTake *takes = g_new0(SnapshotTake, running->turns->len);
	g_autofree char *name = name_choose(running, now);

	for (guint i = 0; i < running->turns->len; i++) {
		const Turn *turn = g_ptr_array_index(running->turns, i);

		takes[i] = (SnapshotTake){.volume = turn->volume, .name = name};
	}
	if (!snapshots_take(running->cli->config, takes, running->turns->len,
			    first->of->policy->freeze, TRUE, DISK_SECONDS, error))
		return FALSE;
	for (guint i = 0; i < running->turns->len; i++) {
		Turn *turn = g_ptr_array_index(running->turns, i);

		turn->taken = g_strdup(name);
		turn->frozen = takes[i].frozen;
	}
	return TRUE;
}

/* ---- a dry run */

/* How much the oldest snapshots would free, and so how many of them would go, is not known. */
static void space_foresee(const Turn *turn)
{
	gboolean below;
	g_autofree char *why = space_complain(turn, &below);

	if (why)
		cli_say("snapshot run: %s: %s: the oldest snapshots would be deleted until that is "
			"over, or none is left",
			turn->volume->text, why);
}

static void prune_foresee(const Running *running, gint64 now)
{
	const Turn *first = g_ptr_array_index(running->turns, 0);
	g_autofree PolicyList *lists = NULL;

	group_look(running);
	for (guint i = 0; i < running->turns->len; i++)
		turn_look_ahead(g_ptr_array_index(running->turns, i), now);
	lists = group_lists(running);
	policy_prune_group(first->of->policy, lists, running->turns->len);
	for (guint i = 0; i < running->turns->len; i++) {
		Turn *turn = g_ptr_array_index(running->turns, i);

		for (guint j = 0; j < turn->snapshots->len; j++)
			if (turn_snapshots(turn)[j].pruned)
				g_ptr_array_add(turn->deleted,
						g_strdup(turn_snapshot_name(turn, j)));
	}
}

/* Fills in the turns as group_carry_out() would, and changes nothing. */
static void group_foresee(const Running *running)
{
	gint64 now = g_get_real_time() / G_USEC_PER_SEC;
	g_autofree char *name = NULL;

	group_look(running);
	if (group_is_due(running, now))
		name = name_choose(running, now);
	for (guint i = 0; i < running->turns->len; i++) {
		Turn *turn = g_ptr_array_index(running->turns, i);

		space_foresee(turn);
		turn->taken = g_strdup(name);
	}
	prune_foresee(running, now);
}

/* ---- a group's turn */

static gboolean group_carry_out(Running *running, GError **error)
{
	gint64 now = g_get_real_time() / G_USEC_PER_SEC;
	gboolean all;

	for (guint i = 0; i < running->turns->len; i++)
		if (!turn_relieve(running, g_ptr_array_index(running->turns, i), error))
			return FALSE;
	group_look(running);
	/* What could not be taken does not keep what is there too long: it may be in the way. */
	all = !group_is_due(running, now) || group_take(running, now, error);
	return group_prune(running, all ? error : NULL) && all;
}

static void turn_report(Running *running, const Turn *turn, const GError *problem)
{
	const char *taken = running->dry ? "would take " : "taken ";
	const char *deleted = running->dry ? "would delete " : "deleted ";
	Json *object = json_object_new_object(), *array = json_object_new_array();
	g_autoptr(GString) line = g_string_new(NULL);

	for (guint i = 0; i < turn->deleted->len; i++) {
		const char *name = g_ptr_array_index(turn->deleted, i);

		json_object_array_add(array, json_text_new(name));
		g_string_append_printf(line, "%s%s%s", i ? ", " : "; ", i ? "" : deleted, name);
	}
	json_add_text(object, "volume", turn->volume->text);
	json_add_text(object, "policy", turn->of->policy->name);
	json_add_text(object, "taken", turn->taken);
	json_add_flag(object, "frozen", turn->frozen);
	json_object_object_add(object, "deleted", array);
	json_add_text(object, "error", problem ? problem->message : NULL);
	if (running->dry)
		json_add_flag(object, "dry_run", TRUE);
	json_object_array_add(running->objects, object);
	if (!running->cli->json && !running->cli->quiet && (turn->taken || turn->deleted->len))
		lines_print("%s: %s%s%s%s", turn->volume->text, turn->taken ? taken : "none is due",
			    turn->taken ? turn->taken : "",
			    turn->frozen ? " with frozen file systems" : "", line->str);
}

static void group_end(Running *running, GError *problem)
{
	for (guint i = 0; i < running->turns->len; i++) {
		Turn *turn = g_ptr_array_index(running->turns, i);

		turn_report(running, turn, problem);
		snapshot_volume_close(turn->volume, NULL);
	}
	g_ptr_array_set_size(running->turns, 0);
	if (!problem)
		return;
	g_prefix_error(&problem, "snapshot run: ");
	running->status = cli_failed(problem);
}

/* FALSE if the volume is not there, or does not answer; one that nobody serves is left out. */
static gboolean turn_add(Running *running, const PolicyVolume *of, GError **error)
{
	g_autoptr(GError) problem = NULL;
	g_autofree char *path = pool_check_thin(running->cli->config, of->name, &problem)
					? pool_volume_path(running->cli->config, of->name, &problem)
					: NULL;
	SnapshotVolume *volume = path ? snapshot_volume_open(running->cli->config, of->name,
							     SNAPSHOT_VOLUME_SERVED, &problem)
				      : NULL;
	Turn *turn;

	if (!volume && path && !access(path, F_OK) &&
	    g_error_matches(problem, STORAGEOS_ERROR, STORAGEOS_ERROR_NOT_FOUND))
		return TRUE;
	if (!volume) {
		g_propagate_error(error, g_steal_pointer(&problem));
		return FALSE;
	}
	turn = g_new0(Turn, 1);
	turn->of = of;
	turn->volume = volume;
	turn->snapshots = g_array_new(FALSE, FALSE, sizeof(PolicySnapshot));
	turn->indices = g_array_new(FALSE, FALSE, sizeof(int));
	turn->deleted = g_ptr_array_new_with_free_func(g_free);
	g_ptr_array_add(running->turns, turn);
	return TRUE;
}

/* The turn of the volume `first`, and of all in its group. */
static void group_run(Running *running, const Policies *policies, guint first)
{
	const PolicyVolume *of = g_ptr_array_index(policies->volumes, first);
	g_autofree char *text = volume_name_format(of->name);
	g_autoptr(GError) error = NULL;
	gboolean all = TRUE;

	system_log_about(of->group ? NULL : text, of->name->pool);
	for (guint i = first; i < policies->volumes->len; i++) {
		const PolicyVolume *other = g_ptr_array_index(policies->volumes, i);

		if (i == first || (of->group && !g_strcmp0(other->group, of->group)))
			all = turn_add(running, other, all ? &error : NULL) && all;
	}
	if (all && running->turns->len && running->dry)
		group_foresee(running);
	else if (all && running->turns->len)
		group_carry_out(running, &error);
	group_end(running, error);
}

/* Whether a volume before it in the file is of the same group. */
static gboolean had_its_turn(const Policies *policies, guint index)
{
	const PolicyVolume *volume = g_ptr_array_index(policies->volumes, index);

	for (guint i = 0; volume->group && i < index; i++) {
		const PolicyVolume *other = g_ptr_array_index(policies->volumes, i);

		if (!g_strcmp0(other->group, volume->group))
			return TRUE;
	}
	return FALSE;
}

/* ---- the verb */

/* Two at once would take two snapshots.  -1 with BUSY. */
static int run_lock(const Config *config, GError **error)
{
	g_autofree char *path = g_build_filename(config->run_directory, "snapshot-run.lock", NULL);
	int fd;

	if (!files_make_directory(config->run_directory, error))
		return -1;
	fd = files_lock(path, 0, error);
	if (fd < 0 && g_error_matches(*error, STORAGEOS_ERROR, STORAGEOS_ERROR_BUSY)) {
		g_clear_error(error);
		error_set(error, STORAGEOS_ERROR_BUSY,
			  "another `storageos snapshot run` is at work");
	}
	return fd;
}

static int run_run(int argc, char **argv)
{
	gboolean dry = FALSE;
	const GOptionEntry options[] = {CLI_DRY_RUN(&dry), {0}};
	g_autoptr(GPtrArray) turns = g_ptr_array_new_with_free_func(turn_free);
	g_autoptr(Policies) policies = NULL;
	g_autoptr(Json) objects = NULL;
	g_autoptr(GError) error = NULL;
	g_auto(Cli) cli = {0};
	Running running;
	int status;

	if (!cli_start(&cli, &snapshot_run, options, 0, 0, argc, argv, &status))
		return status;
	objects = json_object_new_array();
	policies = policies_load(cli.config, &error);
	autofd lock = policies ? run_lock(cli.config, &error) : -1;
	if (lock < 0) {
		g_prefix_error(&error, "snapshot run: ");
		return cli_failed(error);
	}
	for (guint i = 0; i < policies->warnings->len; i++)
		cli_say("snapshot run: %s: %s", cli.config->file,
			(char *)g_ptr_array_index(policies->warnings, i));
	running = (Running){&cli, turns, objects, dry, CLI_DONE};
	interrupt_hold();
	for (guint i = 0; i < policies->volumes->len && interrupt_check(NULL); i++)
		if (!had_its_turn(policies, i))
			group_run(&running, policies, i);
	if (cli.json)
		cli_print_json(objects);
	return running.status;
}

const Verb snapshot_run = {"snapshot run", "[-n]", "take and delete snapshots as the policies say",
			   run_run};
