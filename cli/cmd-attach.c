/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach: inspect the volume, repair or take down a broken attachment, choose a front end, make the
 * device, its link and its state file.
 *
 * The program may be killed at any step: the next attach or detach inspects what is there and
 * continues from that.  The link and then the state file are made only once the device works.
 */
#include <stdio.h>
#include <string.h>

#include "cli/attachment.h"
#include "cli/cli.h"
#include "cli/trouble.h"
#include "cli/device-use.h"
#include "cli/facts.h"
#include "cli/frontend-fuse.h"
#include "cli/frontend-tcmu.h"
#include "cli/interrupt.h"
#include "cli/links.h"
#include "cli/loop-device.h"
#include "cli/mount-hint.h"
#include "cli/process.h"
#include "cli/system-log.h"
#include "cli/take-down.h"
#include "common/base/autofd.h"
#include "common/service/claim.h"
#include "common/base/error.h"
#include "common/service/property-rules.h"

#define DEPTH_WARNED 4 /* bases below a linked clone */

static const char *frontend_title(Frontend frontend)
{
	return frontend == FRONTEND_TCMU ? "TCMU" : "FUSE";
}

/* ---- what is there already */

/* Takes down a broken attachment.  Fails with BUSY while its device is in use. */
static gboolean broken_clear_away(const Places *places, const Attachment *attachment,
				  GError **error)
{
	g_autofree char *use = attachment->device ? device_use_find(attachment->device) : NULL;

	if (use)
		return error_set(error, STORAGEOS_ERROR_BUSY,
				 "the attachment is broken (%s) and its device still in use: %s "
				 "(stop using it, then attach again)",
				 attachment->problem, use);
	return take_down(places, attachment, error);
}

/* Restarts a runner that died: it reopens its devices, whose users need not stop. */
static gboolean runner_revive(const Places *places, const Facts *facts,
			      const Attachment *attachment)
{
	g_autoptr(GError) error = NULL;

	if (attachment->frontend != FRONTEND_TCMU || !attachment->device || !attachment->tcmu.lun)
		return FALSE;
	if (frontend_tcmu_revive(places, facts->lock, &error))
		return TRUE;
	cli_say("attach %s: %s", places->text, error->message);
	return FALSE;
}

/* Whether the device works and only the link or the state file is missing. */
static gboolean only_link_is_missing(const Attachment *attachment)
{
	return attachment->health == ATTACHMENT_BROKEN && attachment_device_works(attachment);
}

/* ---- making */

typedef struct {
	const Frontend *chosen; /* NULL: as the volume says, or the configuration */
	gboolean read_only;
	gboolean only_again; /* only what was attached before a crash, and as it was */
} AttachWish;

typedef struct {
	Frontend frontend;
	const char *why; /* for the user */
} Wanted;

typedef struct {
	const Places *places;
	const Facts *facts;
	Wanted wanted;
	Frontend frontend; /* the front end that serves `device` */
	char *reason;
	char *device;
} Attaching;

static void attaching_clear(Attaching *attaching)
{
	g_free(attaching->reason);
	g_free(attaching->device);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Attaching, attaching_clear)

static gboolean device_make_over_tcmu(Attaching *attaching, const RuntimeProbe *probe,
				      GError **error)
{
	if (!frontend_tcmu_prepare(attaching->places, probe, error))
		return FALSE;
	attaching->device = frontend_tcmu_attach(attaching->places, attaching->facts, error);
	if (!attaching->device)
		return FALSE;
	attaching->frontend = FRONTEND_TCMU;
	attaching->reason = g_strdup(attaching->wanted.frontend == FRONTEND_TCMU
					     ? attaching->wanted.why
					     : "the kernel and tcmu-runner offer it");
	return TRUE;
}

/* `why_not_tcmu`: the reason in words, or NULL if FUSE is wanted. */
static gboolean device_make_over_fuse(Attaching *attaching, const RuntimeProbe *probe,
				      const char *why_not_tcmu, GError **error)
{
	attaching->device = frontend_fuse_attach(attaching->places, probe, attaching->facts, error);
	if (!attaching->device) {
		if (why_not_tcmu && error && *error) {
			g_autofree char *reason = g_strdup((*error)->message);

			g_free((*error)->message);
			(*error)->message =
				g_strdup_printf("%s (over FUSE; %s)", reason, why_not_tcmu);
		}
		return FALSE;
	}
	attaching->frontend = FRONTEND_FUSE;
	attaching->reason = g_strdup(why_not_tcmu ? why_not_tcmu : attaching->wanted.why);
	return TRUE;
}

/* TCMU may fail although the probe found it usable: falls back to FUSE unless TCMU is wanted, or
 * may work at another time. */
static gboolean device_make_over_tcmu_or_fuse(Attaching *attaching, const RuntimeProbe *probe,
					      GError **error)
{
	g_autoptr(GError) tcmu = NULL;
	g_autofree char *why = NULL;

	if (device_make_over_tcmu(attaching, probe, &tcmu))
		return TRUE;
	if (!interrupt_check(error))
		return FALSE;
	if (attaching->wanted.frontend == FRONTEND_TCMU ||
	    g_error_matches(tcmu, STORAGEOS_ERROR, STORAGEOS_ERROR_BUSY)) {
		g_propagate_error(error, g_steal_pointer(&tcmu));
		return FALSE;
	}
	why = g_strdup_printf("no TCMU: %s", tcmu->message);
	return device_make_over_fuse(attaching, probe, why, error);
}

/* Uses the front end that `storageos probe` would report, if tcmu-runner is not slow. */
static gboolean device_make(Attaching *attaching, GError **error)
{
	Frontend wanted = attaching->wanted.frontend;
	g_autoptr(RuntimeProbe) probe = wanted == FRONTEND_FUSE
						? runtime_probe_new(NULL)
						: frontend_tcmu_probe(attaching->places);
	g_autofree char *reason = NULL;
	Frontend chosen;

	if (!interrupt_check(error))
		return FALSE;
	if (!runtime_probe_choose(probe, wanted, &chosen, &reason))
		return error_set(error, STORAGEOS_ERROR_UNSUPPORTED, "%s", reason);
	return chosen == FRONTEND_TCMU
		       ? device_make_over_tcmu_or_fuse(attaching, probe, error)
		       : device_make_over_fuse(attaching, probe,
					       wanted == FRONTEND_AUTO ? reason : NULL, error);
}

static gboolean state_remember(const Places *places, const Facts *facts, Frontend frontend,
			       const char *reason, GError **error)
{
	g_autoptr(Attachment) now = attachment_inspect(places);
	State state = {.frontend = frontend,
		       .reason = (char *)reason,
		       .device = now->device,
		       .sequence = now->device ? loop_device_sequence(now->device) : 0,
		       .uuid = (char *)facts->uuid,
		       .pid = now->server,
		       .start_time = process_start_time(now->server)};

	return state_write(places, &state, error);
}

static gboolean json_wanted;

/* Tells the user and the system's log, since the front end decides the performance. */
static void attach_report(const Places *places, const char *how, Frontend frontend,
			  const char *device, const char *reason)
{
	g_autofree char *line = g_strdup_printf(
		"attach %s: %s%s over %s%s%s%s", places->text, how,
		places_is_read_only(places) ? " for reading only" : "", frontend_title(frontend),
		reason ? " (" : "", reason ? reason : "", reason ? ")" : "");
	gboolean seen = system_log_event(LOGGING_INFO, "attached", "%s", line);
	gboolean read_only = places_is_read_only(places);
	g_autofree char *options =
		(places->name->snapshot || read_only) && device ? mount_hint_options(device) : NULL;
	g_autoptr(Json) object = json_wanted ? json_object_new_object() : NULL;

	cli_did("attach %s: %s as %s", places->text, how, places->link);
	if (!seen)
		cli_say("%s", line);
	if (options)
		cli_say("attach %s: mount -o %s %s DIRECTORY", places->text, options, places->link);
	if (!object) {
		puts(places->link);
		return;
	}
	json_add_text(object, "volume", places->text);
	json_add_text(object, "link", places->link);
	json_add_text(object, "device", device);
	json_add_text(object, "frontend", frontend_name(frontend));
	json_add_text(object, "reason", reason);
	json_add_text(object, "mount_options", options);
	if (read_only)
		json_add_flag(object, "read_only", TRUE);
	cli_print_json(object);
}

/* Takes down whatever a failed attach has made. */
static void attach_undo(const Places *places)
{
	g_autoptr(Attachment) now = attachment_inspect(places);
	g_autoptr(GError) error = NULL;

	if (now->health == ATTACHMENT_NONE)
		places_remove(places);
	if ((now->health == ATTACHMENT_WORKING || now->health == ATTACHMENT_BROKEN) &&
	    !take_down(places, now, &error))
		cli_say("attach %s: cannot undo what was done: %s", places->text, error->message);
}

/* Waits until it is known whether another machine has the volume's disk, and recovers the volume. A
 * server would do the same, but could not say so in its own time: over TCMU the device would just
 * not be ready. */
static gboolean disk_await(const Places *places, const Facts *facts, GError **error)
{
	Volume *volume;

	if (!facts->claimed_by || places->name->snapshot)
		return TRUE;
	volume = pool_volume_open(places->config, places->name, 0, error);
	return volume && volume_close(volume, error);
}

/* The file that says so must be there before a server is started, or be gone.  A snapshot can
 * always be read only. */
static gboolean mode_set(const Places *places, gboolean read_only, GError **error)
{
	return places_set_read_only(places, read_only && !places->name->snapshot, error);
}

static gboolean attach_anew(const Places *places, const Facts *facts, Wanted wanted,
			    gboolean read_only, GError **error)
{
	g_auto(Attaching) attaching = {.places = places, .facts = facts, .wanted = wanted};

	if (facts->depth >= DEPTH_WARNED)
		cli_say("attach %s: it reads through %u snapshots of other volumes: it needs each "
			"of "
			"them, and each makes it slower (storageos flatten %s ends that)",
			places->text, facts->depth, places->text);
	/* A stale link must not point to the new device by chance. */
	links_sweep(places->config);
	if ((!read_only && !disk_await(places, facts, error)) ||
	    !mode_set(places, read_only, error))
		return FALSE;
	if (!device_make(&attaching, error) || !interrupt_check(error) ||
	    !links_make(places, attaching.device, error) || !interrupt_check(error) ||
	    !state_remember(places, facts, attaching.frontend, attaching.reason, error)) {
		attach_undo(places);
		return FALSE;
	}
	attach_report(places, "attached", attaching.frontend, attaching.device, attaching.reason);
	return TRUE;
}

static gboolean link_repair(const Places *places, const Facts *facts, const Attachment *attachment,
			    GError **error)
{
	const char *reason = attachment->reason ? attachment->reason : "not known";

	if (!links_make(places, attachment->device, error) ||
	    !state_remember(places, facts, attachment->frontend, reason, error))
		return FALSE;
	attach_report(places, "attached again", attachment->frontend, attachment->device,
		      attachment->reason);
	return TRUE;
}

/* The front end of the command line, of the volume, or of the configuration. */
static Wanted frontend_want(const Places *places, const Facts *facts, const Frontend *chosen)
{
	Wanted wanted = {places->config->frontend, "the configuration says so"};
	char value[PROPERTY_VALUE_MAX + 1];

	if (chosen)
		return (Wanted){*chosen, "it was requested"};
	if (properties_get(&facts->properties, PROPERTY_FRONTEND, value) &&
	    frontend_parse(value, &wanted.frontend))
		wanted.why = "the volume's property 'frontend' says so";
	return wanted;
}

/* A volume that can only be read must not be taken for one that can be written, nor the other way
 * round. */
static gboolean mode_check(const Places *places, const Attachment *attachment,
			   const AttachWish *wish, GError **error)
{
	return places->name->snapshot || !attachment->read_only == !wish->read_only ||
	       error_set(error, STORAGEOS_ERROR_BUSY,
			 "it is attached %s already (to change that: storageos detach %s)",
			 attachment->read_only ? "for reading only" : "for writing", places->text);
}

static gboolean attach_locked(const Places *places, const AttachWish *wish, GError **error)
{
	g_autoptr(Attachment) attachment = attachment_inspect(places);
	g_autofree char *trouble = trouble_find(attachment, places->text);
	const Facts *facts = &attachment->facts;

	if (trouble)
		cli_say("attach %s: %s", places->text, trouble);
	if (attachment->replaced)
		return error_set(error, STORAGEOS_ERROR_BUSY, "%s", attachment->problem);
	if (attachment->facts_error) {
		g_propagate_error(error, g_error_copy(attachment->facts_error));
		return FALSE;
	}
	switch (attachment->health) {
	case ATTACHMENT_WORKING:
		if (attachment->state == STATE_FAILED || attachment->state == STATE_HUNG)
			return error_set(error, STORAGEOS_ERROR_BUSY, "%s (detach it first)",
					 attachment->problem);
		if (!mode_check(places, attachment, wish, error))
			return FALSE;
		attach_report(places, "already attached", attachment->frontend, attachment->device,
			      attachment->reason);
		return TRUE;
	case ATTACHMENT_FOREIGN:
		return error_set(error, STORAGEOS_ERROR_BUSY, "%s", attachment->problem);
	case ATTACHMENT_BROKEN:
		if (runner_revive(places, facts, attachment) || only_link_is_missing(attachment))
			return mode_check(places, attachment, wish, error) &&
			       link_repair(places, facts, attachment, error);
		if (!broken_clear_away(places, attachment, error))
			return FALSE;
		break;
	case ATTACHMENT_NONE:
		break;
	}
	return claim_check(places->config, facts->uuid, places->text, error) &&
	       attach_anew(places, facts, frontend_want(places, facts, wish->chosen),
			   wish->read_only, error);
}

/* For storageos-recover@, which must attach again what a crash took down, but nothing that was
 * detached since. */
static gboolean state_is_remembered(const Places *places)
{
	g_autoptr(State) state = state_read(places);

	if (!state)
		cli_say("attach %s: nothing to do, the volume was not attached", places->text);
	return state != NULL;
}

static gboolean attach_volume(const Config *config, const VolumeName *name, AttachWish wish,
			      GError **error)
{
	g_autoptr(Places) places = places_new(config, name);
	gboolean done;

	gboolean locked = places_lock(places, error);
	system_log_about(places->text, NULL);
	interrupt_hold();
	if (wish.only_again)
		wish.read_only = places_is_read_only(places);
	done = locked && ((wish.only_again && !state_is_remembered(places)) ||
			  attach_locked(places, &wish, error));
	if (!done)
		g_prefix_error(error, "attach %s: ", places->text);
	cli_progress_end();
	return done;
}

/* A volume that cannot be attached does not keep the others from it; a signal does. */
static int names_attach(const Config *config, const AttachWish *wish, const GPtrArray *names)
{
	int status = CLI_DONE;

	for (guint i = 0; i < names->len; i++) {
		g_autoptr(GError) error = NULL;

		if (!attach_volume(config, g_ptr_array_index(names, i), *wish, &error))
			status = cli_failed(error);
		if (i + 1 < names->len && !interrupt_check(NULL))
			return CLI_FAILED;
	}
	return status;
}

static int verb_attach_run(int argc, char **argv)
{
	g_autofree char *frontend = NULL;
	AttachWish wish = {0};
	const GOptionEntry options[] = {
		{"again", 0, G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_NONE, &wish.only_again, NULL, NULL},
		{"read-only", 'r', 0, G_OPTION_ARG_NONE, &wish.read_only,
		 "The device can only be read, and nothing is written to the volume", NULL},
		{"frontend", 0, 0, G_OPTION_ARG_FILENAME, &frontend,
		 "auto, tcmu or fuse (default: the volume's frontend, or the configuration's)",
		 "FRONTEND"},
		{0},
	};
	g_autoptr(GPtrArray) names = NULL;
	g_auto(Cli) cli = {0};
	Frontend wanted;
	int status;

	if (!cli_start(&cli, &verb_attach, options, 1, G_MAXUINT, argc, argv, &status))
		return status;
	json_wanted = cli.json;
	if (frontend && !frontend_parse(frontend, &wanted))
		return cli_usage("attach: unknown front end '%s' (auto, tcmu or fuse)", frontend);
	names = cli_volume_names(&cli, "attach", volume_name_parse_any);
	wish.chosen = frontend ? &wanted : NULL;
	return names ? names_attach(cli.config, &wish, names) : CLI_USAGE;
}

const Verb verb_attach = {"attach", "NAME... [--frontend auto|tcmu|fuse] [--read-only]",
			  "attach volumes as block devices, print their paths", verb_attach_run};
