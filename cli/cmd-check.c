/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/attachment.h"
#include "cli/chosen-volumes.h"
#include "cli/cli.h"
#include "cli/lines.h"
#include "common/base/error.h"
#include "common/check/repair.h"
#include "common/base/units.h"
#include "common/service/pool-base.h"
#include "common/service/readers.h"
#include "common/service/volume-summary.h"

/* Exit statuses of --repair, beside CLI_DONE, CLI_FAILED and CLI_USAGE. */
enum { CHECK_MENDED = 3, CHECK_LEFT = 4 };

typedef struct {
	const Config *config;
	const VolumeName *name;
	char *text;
	gboolean json, all, repair, yes, cut_journal;
	const char *const *drop_snapshots; /* NULL, or names up to a NULL */
} Checking;

static void check_show_progress(double fraction, gpointer data)
{
	static gint64 last;
	gint64 now = g_get_monotonic_time();

	if (now - last < G_USEC_PER_SEC / 4)
		return;
	last = now;
	cli_progress("check %s: %.0f %%", (const char *)data, fraction * 100);
}

static Backing *check_open_backing(const Checking *checking, BackingOpenFlags flags, GError **error)
{
	g_autofree char *path = pool_volume_path(checking->config, checking->name, error);

	if (path && access(path, F_OK) && errno == ENOENT) {
		pool_volume_refuse_missing(checking->config, checking->name, path, error);
		return NULL;
	}
	return path ? backing_open(path, flags, error) : NULL;
}

static CheckResult *check_volume(const Checking *checking, GError **error)
{
	g_autoptr(Backing) backing = check_open_backing(checking, BACKING_OPEN_READ_ONLY, error);
	CheckResult *result = NULL;

	if (backing)
		result = check_run(backing, check_show_progress, checking->text, error);
	cli_progress_end();
	return result;
}

/* ---- what was found */

static void json_add_lines(Json *object, const char *key, const GPtrArray *lines)
{
	Json *list = json_object_new_array();

	for (guint i = 0; i < lines->len; i++)
		json_object_array_add(list, json_text_new(g_ptr_array_index(lines, i)));
	json_object_object_add(object, key, list);
}

/* "lost in snapshot 'monday': bytes 0-4095" for each range. */
static void add_losses(GPtrArray *lines, const GPtrArray *losses)
{
	for (guint i = 0; i < losses->len; i++) {
		const CheckLoss *loss = g_ptr_array_index(losses, i);
		g_autofree char *what =
			g_strdup_printf("lost in snapshot '%s': bytes", loss->snapshot);

		for (guint j = 0; j < loss->lost->len; j++) {
			const CheckRange *range = &g_array_index(loss->lost, CheckRange, j);

			g_ptr_array_add(lines, lines_range(what, range->first, range->end));
		}
	}
}

static void json_add_lost(Json *object, const GArray *lost)
{
	Json *list = json_object_new_array();

	for (guint i = 0; i < lost->len; i++) {
		const CheckRange *range = &g_array_index(lost, CheckRange, i);
		Json *item = json_object_new_object();

		json_add_number(item, "offset", blocks_to_bytes(range->first));
		json_add_number(item, "length", blocks_to_bytes(range->end - range->first));
		json_object_array_add(list, item);
	}
	json_object_object_add(object, "lost", list);
}

static void json_add_losses(Json *object, const GPtrArray *losses)
{
	Json *list = json_object_new_array();

	for (guint i = 0; i < losses->len; i++) {
		const CheckLoss *loss = g_ptr_array_index(losses, i);
		Json *item = json_object_new_object();

		json_add_text(item, "snapshot", loss->snapshot);
		json_add_lost(item, loss->lost);
		json_object_array_add(list, item);
	}
	json_object_object_add(object, "lost_in_snapshots", list);
}

static void json_add_result(Json *object, const CheckResult *result)
{
	json_add_flag(object, "whole", !result->errors);
	json_add_number(object, "errors", result->errors);
	json_add_number(object, "copies_damaged", result->copies);
	json_add_lines(object, "messages", result->messages);
	json_add_lost(object, result->lost);
	json_add_losses(object, result->losses);
	json_add_number(object, "snapshots", result->snapshots);
	json_add_flag(object, "clean", result->clean);
	json_add_text(object, "claimed_by", result->claimed_by);
	json_add_number(object, "generation", result->generation);
	json_add_number(object, "nodes", result->nodes);
	json_add_number(object, "blocks", result->blocks);
	json_add_number(object, "dead_blocks", result->dead_blocks);
	json_add_number(object, "journal_records", result->records);
	json_add_number(object, "free_slots", result->free_slots);
	json_add_number(object, "used_slots", result->used_slots);
	json_add_number(object, "metadata_slots", result->metadata_slots);
}

/* "DAMAGED: 4.0 KiB of data is lost" */
static char *result_describe_state(const CheckResult *result)
{
	g_autofree char *size = NULL;
	guint64 lost = 0;

	for (guint i = 0; i < result->lost->len; i++) {
		const CheckRange *range = &g_array_index(result->lost, CheckRange, i);

		lost += range->end - range->first;
	}
	size = size_format(blocks_to_bytes(lost));
	if (lost)
		return g_strdup_printf("DAMAGED: %s of data is lost", size);
	if (result->losses->len)
		return g_strdup_printf("DAMAGED: data of %u snapshots is lost",
				       result->losses->len);
	if (result->copies && result->copies == result->errors)
		return g_strdup_printf(
			"DAMAGED, but no data is lost (damaged copies of metadata that is kept "
			"twice: %" G_GUINT64_FORMAT "; scrub or check --repair rewrites them)",
			result->copies);
	return g_strdup(result->errors ? "DAMAGED" : "whole");
}

/* Prints the lost ranges first, then the reasons.  The ranges take at most half of the lines, so
 * that both are seen. */
static void result_print(const Checking *checking, const CheckResult *result)
{
	g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *data = size_format(blocks_to_bytes(result->blocks));
	g_autofree char *state = result_describe_state(result);
	guint first;

	for (guint i = 0; i < result->lost->len; i++) {
		const CheckRange *range = &g_array_index(result->lost, CheckRange, i);

		g_ptr_array_add(lines, lines_range("lost: bytes", range->first, range->end));
	}
	add_losses(lines, result->losses);
	first = MIN(lines->len, LINES_MAX / 2);
	for (guint i = 0; i < result->messages->len; i++)
		g_ptr_array_insert(lines, (gint)(first + i),
				   g_strdup(g_ptr_array_index(result->messages, i)));
	lines_print("%s: %s; %" G_GUINT64_FORMAT " blocks (%s) and %" G_GUINT64_FORMAT
		    " map nodes verified, %" G_GUINT64_FORMAT
		    " journal records, generation %" G_GUINT64_FORMAT "%s",
		    checking->text, state, result->blocks, data, result->nodes, result->records,
		    result->generation,
		    result->clean ? "" : ", not closed cleanly (the next open recovers)");
	if (result->claimed_by)
		lines_print("%s: not given back by %s: if it is in use there, all this says "
			    "nothing",
			    checking->text, result->claimed_by);
	lines_write(checking->text, lines, LINES_MAX - 1, lines_print);
}

static int check_failed(const Checking *checking, GError *error)
{
	g_prefix_error(&error, "check %s: ", checking->text);
	cli_failed(error);
	g_error_free(error);
	return CLI_FAILED;
}

/* Of a linked clone, its base is looked at, too, but not read. */
static int check_run_and_print(const Checking *checking)
{
	GError *error = NULL;
	g_autoptr(CheckResult) result = check_volume(checking, &error);
	g_autoptr(GError) problem = NULL;
	g_autoptr(Json) object = NULL;

	if (!result)
		return check_failed(checking, error);
	pool_check_base(checking->config, checking->name, &problem);
	if (checking->json) {
		object = json_object_new_object();
		json_add_text(object, "volume", checking->text);
		json_add_result(object, result);
		json_add_text(object, "base_problem", problem ? problem->message : NULL);
		cli_print_json(object);
	} else {
		result_print(checking, result);
	}
	if (problem)
		cli_say("check %s: %s", checking->text, problem->message);
	return result->errors || problem ? CLI_FAILED : CLI_DONE;
}

/* ---- repairing */

/* "NAME: WHAT LINE" for each of them. */
static void plan_say_lines(const Checking *checking, const GPtrArray *lines, const char *what)
{
	g_autoptr(GPtrArray) whole = g_ptr_array_new_with_free_func(g_free);

	for (guint i = 0; i < lines->len; i++)
		g_ptr_array_add(
			whole, g_strdup_printf("%s %s", what, (char *)g_ptr_array_index(lines, i)));
	lines_write(checking->text, whole, LINES_MAX, cli_say);
}

/* The plan is for people, and goes to standard error, where the question does. */
static void plan_say(const Checking *checking, const RepairPlan *plan)
{
	const struct {
		const GPtrArray *lines;
		const char *what;
	} parts[] = {
		{plan->actions, checking->yes ? "will" : "would"},
		{plan->left, "cannot be repaired:"},
		{plan->given_up, plan->may_cut ? "--cut-journal would discard" : "will discard"}};
	g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
	const GArray *lost = plan->check->lost;

	for (guint i = 0; i < G_N_ELEMENTS(parts); i++)
		plan_say_lines(checking, parts[i].lines, parts[i].what);
	for (guint i = 0; i < lost->len; i++) {
		const CheckRange *range = &g_array_index(lost, CheckRange, i);

		g_ptr_array_add(lines, lines_range("bytes", range->first, range->end));
	}
	add_losses(lines, plan->check->losses);
	plan_say_lines(checking, lines, "lost (reads keep failing):");
}

static gboolean plan_is_agreed(const Checking *checking)
{
	char answer[16] = "";

	if (checking->yes)
		return TRUE;
	if (!isatty(STDIN_FILENO)) {
		cli_say("check %s: nothing was repaired: standard input is not a terminal "
			"(--yes repairs without asking)",
			checking->text);
		return FALSE;
	}
	fputs("Repair? [y/N] ", stderr);
	return fgets(answer, sizeof answer, stdin) && (*answer == 'y' || *answer == 'Y');
}

/* Opening replays the journal, closing makes a checkpoint. */
static gboolean journal_replay(const Checking *checking, GError **error)
{
	Volume *volume = pool_volume_open(checking->config, checking->name, 0, error);

	return volume && volume_close(volume, error);
}

static int repair_print(const Checking *checking, const RepairPlan *plan, gboolean done)
{
	GError *error = NULL;
	g_autoptr(CheckResult) result = check_volume(checking, &error);
	g_autoptr(Json) object = json_object_new_object();

	if (!result)
		return check_failed(checking, error);
	if (done && plan->actions->len)
		cli_did("check %s: repaired", checking->text);
	json_add_text(object, "volume", checking->text);
	json_add_flag(object, "repaired", done);
	json_add_lines(object, "actions", plan->actions);
	json_add_lines(object, "left", plan->left);
	json_add_lines(object, "given_up", plan->given_up);
	json_add_result(object, result);
	if (checking->json)
		cli_print_json(object);
	else
		result_print(checking, result);
	if (!done)
		return CLI_FAILED;
	if (result->errors)
		return CHECK_LEFT;
	return plan->check->errors || plan->actions->len > (guint)plan->replay ? CHECK_MENDED
									       : CLI_DONE;
}

/* Who reads a snapshot must not lose it.  With both superblocks damaged nobody can have opened one.
 */
static gboolean snapshots_are_unused(const Checking *checking, const Backing *backing,
				     GError **error)
{
	VolumeSummary summary;

	return !checking->drop_snapshots || !volume_summary_read(backing->name, &summary, NULL) ||
	       readers_check_none(checking->config->run_directory, summary.uuid, error);
}

static int repair_run(const Checking *checking)
{
	GError *error = NULL;
	Backing *backing = check_open_backing(checking, 0, &error);
	g_autoptr(RepairPlan) plan = NULL;
	gboolean done = TRUE;

	if (backing && snapshots_are_unused(checking, backing, &error))
		plan = repair_plan(backing, checking->cut_journal ? REPAIR_CUT_JOURNAL : 0,
				   checking->drop_snapshots, check_show_progress, checking->text,
				   &error);
	cli_progress_end();
	if (plan)
		plan_say(checking, plan);
	if (plan && plan->actions->len)
		done = plan_is_agreed(checking) && repair_carry_out(plan, &error);
	repair_plan_let_go(plan);
	backing_free(backing); /* drops the lock: the replay and the check below open it again */
	if (!error && plan && done && plan->replay)
		journal_replay(checking, &error);
	if (error)
		return check_failed(checking, error);
	return repair_print(checking, plan, done);
}

/* ---- the verb */

/* A failure is worse than damage that could not be repaired, and that is worse than damage that
 * was. */
static int status_worse(int a, int b)
{
	if (a == CLI_FAILED || b == CLI_FAILED)
		return CLI_FAILED;
	return MAX(a, b);
}

/* With --all, one that is in use is left out, which is said. */
static gboolean volume_is_in_use(const Config *config, const VolumeName *name)
{
	g_autoptr(Places) places = places_new(config, name);
	g_autoptr(Attachment) attachment = attachment_inspect(places);
	gboolean gone = attachment_is_gone(attachment);

	if (!gone)
		cli_say("check %s: not checked, as it is %s (storageos scrub %s)", places->text,
			attachment_state_name(attachment->state), places->text);
	return !gone;
}

static int name_check(Checking *checking, const VolumeName *name)
{
	g_autofree char *text = volume_name_format(name);
	GError *error = NULL;

	checking->name = name;
	checking->text = text;
	if (checking->all && volume_is_in_use(checking->config, name))
		return CLI_DONE;
	if (!pool_check_thin(checking->config, name, &error))
		return check_failed(checking, error);
	return checking->repair ? repair_run(checking) : check_run_and_print(checking);
}

/* A volume that cannot be checked does not keep the others from it. */
static int names_check(Checking *checking, const GPtrArray *names, int status)
{
	for (guint i = 0; i < names->len; i++)
		status = status_worse(status, name_check(checking, g_ptr_array_index(names, i)));
	return status;
}

static int options_check(const Checking *checking, const Cli *cli)
{
	gboolean discards = checking->cut_journal || checking->drop_snapshots;

	if ((checking->yes || discards) && !checking->repair)
		return cli_usage("check: --yes, --cut-journal and --drop-snapshot require "
				 "--repair");
	if (discards && (checking->all || cli->n_arguments != 1))
		return cli_usage("check: --cut-journal and --drop-snapshot take one NAME");
	return CLI_DONE;
}

static int verb_check_run(int argc, char **argv)
{
	Checking checking = {0};
	g_auto(GStrv) drop_snapshots = NULL;
	const GOptionEntry options[] = {
		{"all", 0, 0, G_OPTION_ARG_NONE, &checking.all,
		 "Every volume of the pools, or of all pools, that is not in use", NULL},
		{"repair", 0, 0, G_OPTION_ARG_NONE, &checking.repair,
		 "Repair what can be repaired without guessing; shows its plan first", NULL},
		{"yes", 0, 0, G_OPTION_ARG_NONE, &checking.yes,
		 "With --repair: do not ask for confirmation", NULL},
		{"cut-journal", 0, 0, G_OPTION_ARG_NONE, &checking.cut_journal,
		 "With --repair: discard a damaged journal record and all that follow it", NULL},
		{"drop-snapshot", 0, 0, G_OPTION_ARG_STRING_ARRAY, &drop_snapshots,
		 "With --repair: give up the snapshot NAME; '*': all", "NAME"},
		{0},
	};
	g_autoptr(GPtrArray) names = NULL;
	g_auto(Cli) cli = {0};
	int status;

	if (!cli_start(&cli, &verb_check, options, 0, G_MAXUINT, argc, argv, &status))
		return status;
	checking.drop_snapshots = (const char *const *)drop_snapshots;
	checking.config = cli.config;
	checking.json = cli.json;
	status = options_check(&checking, &cli);
	if (status != CLI_DONE)
		return status;
	names = chosen_volumes(&cli, &verb_check, checking.all, &status);
	return names ? names_check(&checking, names, status) : status;
}

const Verb verb_check = {"check", "NAME...|--all [--repair [--yes] [--cut-journal]]",
			 "verify detached volumes completely; repair them", verb_check_run};
