/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/attachment.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/frontend-fuse.h"
#include "cli/frontend-tcmu.h"
#include "cli/links.h"
#include "cli/served.h"
#include "common/base/error.h"
#include "common/service/registry.h"
#include "common/base/units.h"

#define SPACE_FOR_NOTHING MIB /* with less free space a pool counts as full */

const char *attachment_state_name(AttachmentState state)
{
	switch (state) {
	case STATE_DETACHED:
		return "detached";
	case STATE_ATTACHED:
		return "attached";
	case STATE_BROKEN:
		return "broken";
	case STATE_IN_USE:
		return "in use";
	case STATE_MISSING:
		return "missing";
	case STATE_FAILED:
		return "FAILED";
	case STATE_HUNG:
		return "hung";
	case STATE_FULL:
		return "full";
	case STATE_UNWATCHED:
		return "unwatched";
	}
	return "?";
}

const char *attachment_via(const Attachment *attachment)
{
	return attachment->frontend == FRONTEND_TCMU   ? "TCMU"
	       : attachment->frontend == FRONTEND_FUSE ? "FUSE"
						       : NULL;
}

/* Describes the first part that is missing; NULL if all are there. */
static const char *fuse_problem(const FuseParts *parts)
{
	if (!parts->server)
		return "storageos-fuse is no longer running";
	if (!parts->mounted)
		return "the storageos-fuse file system is no longer mounted";
	if (!parts->loop)
		return "the loop device is gone";
	return NULL;
}

static const char *tcmu_problem(const TcmuParts *parts, const char *holder)
{
	if (!parts->backstore)
		return "the backstore is gone";
	if (!parts->runner)
		return "tcmu-runner is no longer running";
	if (!holder)
		return "tcmu-runner does not serve the volume (see the log of tcmu-runner)";
	if (!parts->target || !parts->lun)
		return "the loopback LUN is gone";
	if (!parts->device)
		return "the SCSI device is gone";
	return NULL;
}

static void attachment_judge_fuse(Attachment *attachment)
{
	const char *problem = fuse_problem(&attachment->fuse);

	attachment->frontend = FRONTEND_FUSE;
	attachment->health = problem ? ATTACHMENT_BROKEN : ATTACHMENT_WORKING;
	attachment->problem = g_strdup(problem);
	attachment->device = g_strdup(attachment->fuse.loop);
	attachment->server = attachment->fuse.server;
}

static void attachment_judge_tcmu(Attachment *attachment)
{
	const char *problem = tcmu_problem(&attachment->tcmu, attachment->facts.holder);

	attachment->frontend = FRONTEND_TCMU;
	attachment->health = problem ? ATTACHMENT_BROKEN : ATTACHMENT_WORKING;
	attachment->problem = g_strdup(problem);
	attachment->device = g_strdup(attachment->tcmu.device);
	attachment->server = attachment->tcmu.runner;
}

/* A backstore that targetcli made, the usual way to export a LUN. */
static void attachment_judge_foreign(Attachment *attachment)
{
	const TcmuParts *tcmu = &attachment->tcmu;
	const GError *why = attachment->facts_error;
	const char *but = "";

	if (!tcmu->runner)
		but = "; tcmu-runner is no longer running";
	else if (why)
		but = "; the volume is missing: ";
	else if (!attachment->facts.holder)
		but = "; tcmu-runner does not serve the volume (see the log of tcmu-runner)";
	attachment->health = ATTACHMENT_FOREIGN;
	attachment->frontend = FRONTEND_TCMU;
	attachment->device = g_strdup(tcmu->device);
	attachment->server = tcmu->runner;
	attachment->problem = g_strdup_printf(
		"in use over TCMU by the backstore %s (%s), which targetcli made%s%s",
		tcmu->foreign, tcmu->device ? tcmu->device : "no local disk", but,
		tcmu->runner && why ? why->message : "");
}

static void attachment_judge(Attachment *attachment)
{
	const char *holder = attachment->facts.holder;
	const FuseParts *fuse = &attachment->fuse;
	const TcmuParts *tcmu = &attachment->tcmu;

	if (tcmu->backstore || tcmu->target) {
		attachment_judge_tcmu(attachment);
	} else if (fuse->mounted || fuse->server || fuse->loop) {
		attachment_judge_fuse(attachment);
	} else if (tcmu->foreign) {
		attachment_judge_foreign(attachment);
	} else if (holder) {
		attachment->health = ATTACHMENT_FOREIGN;
		attachment->problem = g_strdup_printf("%s has the volume open", holder);
	}
}

static void attachment_add_remembered(const Places *places, const State *state,
				      Attachment *attachment)
{
	struct stat st;

	if (state && attachment->health != ATTACHMENT_NONE &&
	    state->frontend == attachment->frontend)
		attachment->reason = g_strdup(state->reason);
	if (links_lead_to(places, attachment->device))
		attachment->link = g_strdup(places->link);
	attachment->litter = !lstat(places->link, &st) || !lstat(places->state_file, &st);
	attachment->read_only = attachment->health != ATTACHMENT_NONE &&
				attachment->health != ATTACHMENT_FOREIGN &&
				!places->name->snapshot && places_is_read_only(places);
}

/* The link in /dev/storageos must point to the volume's device, and must not exist without one. */
static void attachment_judge_link(const Places *places, Attachment *attachment)
{
	g_autofree char *target = g_file_read_link(places->link, NULL);

	if (attachment->health == ATTACHMENT_WORKING && !attachment->link)
		attachment->problem =
			target ? g_strdup_printf("the link %s points to another device, %s",
						 places->link, target)
			       : g_strdup_printf("the link %s is missing", places->link);
	else if (attachment->health == ATTACHMENT_NONE && target)
		attachment->problem = g_strdup_printf(
			"the volume is not attached, but the link %s still points to %s",
			places->link, target);
	else
		return;
	attachment->health = ATTACHMENT_BROKEN;
	attachment->link_is_wrong = TRUE;
}

/* Overrides any other problem: the name means another volume than the one that is served. */
static void attachment_judge_identity(const Places *places, Attachment *attachment)
{
	char *difference = served_difference(places->text, &attachment->facts,
					     attachment->facts_error, attachment->sample);

	if (!difference)
		return;
	attachment->replaced = TRUE;
	g_free(attachment->problem);
	attachment->problem = difference;
	if (attachment->health != ATTACHMENT_FOREIGN)
		attachment->health = ATTACHMENT_BROKEN;
}

gboolean attachment_is_gone(const Attachment *attachment)
{
	return attachment->health == ATTACHMENT_NONE ||
	       (attachment->link_is_wrong && !attachment->device && !attachment->replaced);
}

gboolean attachment_require_gone(const Places *places, const char *purpose, GError **error)
{
	g_autoptr(Attachment) attachment = attachment_inspect(places);

	return attachment_is_gone(attachment) ||
	       error_set(error, STORAGEOS_ERROR_BUSY,
			 "in use (%s); detach the volume to %s (storageos detach %s)",
			 attachment->problem ? attachment->problem : "attached", purpose,
			 places->text);
}

static void attachment_look_at_server(const Places *places, Attachment *attachment)
{
	GError **error = &attachment->sample_error;

	attachment->sample = sample_take(places->config, places->name, error);
	if (g_error_matches(*error, STORAGEOS_ERROR, STORAGEOS_ERROR_NOT_FOUND))
		g_clear_error(error);
}

/* "the volume FAILED since 2026-11-28 20:12:33: flush: Input/output error; it is read-only ..." */
static char *failure_describe(const Sample *sample)
{
	gint64 since = sample_failed_since(sample);
	g_autoptr(GDateTime) time = since ? g_date_time_new_from_unix_local(since) : NULL;
	g_autofree char *text = time ? g_date_time_format(time, " since %F %T") : NULL;

	return g_strdup_printf("the volume FAILED%s: %s; it is read-only until attached again",
			       text ? text : "", sample_failure(sample));
}

static const char *server_name(const Attachment *attachment)
{
	return attachment->frontend == FRONTEND_TCMU ? "tcmu-runner" : "storageos-fuse";
}

/* The state of an attachment that has all its parts. */
static AttachmentState attachment_look_closer(const Places *places, const Attachment *attachment,
					      char **ret_problem)
{
	const ConfigPool *pool =
		places->name->pool ? config_find_pool(places->config, places->name->pool) : NULL;
	const Sample *sample = attachment->sample;
	const GError *silent = attachment->sample_error;

	if (sample && sample_failure(sample)) {
		*ret_problem = failure_describe(sample);
		return STATE_FAILED;
	}
	if (g_error_matches(silent, STORAGEOS_ERROR, STORAGEOS_ERROR_IO)) {
		*ret_problem = g_strdup_printf("%s does not answer: %s", server_name(attachment),
					       silent->message);
		return STATE_HUNG;
	}
	if (attachment->facts_error) {
		*ret_problem = g_strdup(attachment->facts_error->message);
		return g_error_matches(attachment->facts_error, STORAGEOS_ERROR, STORAGEOS_ERROR_IO)
			       ? STATE_HUNG
			       : STATE_BROKEN;
	}
	if (attachment->facts.available < SPACE_FOR_NOTHING) {
		*ret_problem = g_strdup(pool && pool->quota
						? "the pool's quota is used up, or its file system "
						  "is full"
						: "the pool's file system is full");
		return STATE_FULL;
	}
	if (!sample) {
		*ret_problem = g_strdup(silent ? silent->message : "the control socket is gone");
		return STATE_UNWATCHED;
	}
	return STATE_ATTACHED;
}

/* Describes a volume that the registry knows and whose file does not exist: its pool is not
 * mounted, or the file was removed without `storageos delete`.  NULL if the registry does not know
 * it. */
static char *missing_describe(const Places *places, const GError *why)
{
	const VolumeName *name = places->name;
	g_autofree char *history = NULL;
	/* Looks only where the disk has just answered. */
	gboolean gone = g_error_matches(why, STORAGEOS_ERROR, STORAGEOS_ERROR_NOT_FOUND);
	g_autofree char *moving =
		gone && !name->snapshot ? pool_volume_moving(places->config, name) : NULL;
	RegistryEntry entry;

	if (moving)
		return g_strdup(why->message);
	if (!why || !name->pool || name->snapshot ||
	    !registry_find(places->config, name, &entry, NULL) || entry.deleted || *entry.to)
		return NULL;
	history = registry_describe(&entry);
	return g_strdup_printf("%s; %s", why->message, history);
}

static void attachment_name_state(const Places *places, Attachment *attachment)
{
	switch (attachment->health) {
	case ATTACHMENT_NONE:
		attachment->problem = missing_describe(places, attachment->facts_error);
		attachment->state = attachment->problem ? STATE_MISSING : STATE_DETACHED;
		break;
	case ATTACHMENT_WORKING:
		attachment->state =
			attachment_look_closer(places, attachment, &attachment->problem);
		break;
	case ATTACHMENT_BROKEN:
		attachment->state = STATE_BROKEN;
		break;
	case ATTACHMENT_FOREIGN:
		attachment->state = STATE_IN_USE;
		break;
	}
}

/* Looks at the holder again if it has no part of an attachment: it may have been a server that has
 * ended since. */
static void attachment_look_at_holder(Attachment *attachment)
{
	const FuseParts *fuse = &attachment->fuse;
	const TcmuParts *tcmu = &attachment->tcmu;
	Facts *facts = &attachment->facts;

	if (!facts->holder || fuse->mounted || fuse->server || fuse->loop || tcmu->backstore ||
	    tcmu->target || tcmu->foreign)
		return;
	g_free(facts->holder);
	facts->holder = facts_holder(facts->lock);
}

static Attachment *attachment_look(const Places *places)
{
	Attachment *attachment = g_new0(Attachment, 1);
	g_autoptr(State) state = state_read(places);

	/* An attachment can be described even if the volume's file can no longer be read. */
	facts_read(places->config, places->name, &attachment->facts, &attachment->facts_error);
	frontend_fuse_look(places, state, &attachment->fuse);
	frontend_tcmu_look(places, &attachment->tcmu);
	attachment_look_at_holder(attachment);
	attachment_judge(attachment);
	attachment_add_remembered(places, state, attachment);
	attachment_judge_link(places, attachment);
	attachment_look_at_server(places, attachment);
	attachment_judge_identity(places, attachment);
	attachment_name_state(places, attachment);
	return attachment;
}

/* Looks again after udev has settled if the link is wrong: udev may not have made it yet. */
Attachment *attachment_inspect(const Places *places)
{
	Attachment *attachment = attachment_look(places);

	if (!attachment->link_is_wrong || !links_settle())
		return attachment;
	attachment_free(attachment);
	return attachment_look(places);
}

gboolean attachment_device_works(const Attachment *attachment)
{
	return attachment->device && attachment->server &&
	       (attachment->frontend == FRONTEND_TCMU ? attachment->tcmu.lun
						      : attachment->fuse.mounted);
}

void attachment_free(Attachment *attachment)
{
	if (!attachment)
		return;
	facts_clear(&attachment->facts);
	g_clear_error(&attachment->facts_error);
	sample_free(attachment->sample);
	g_clear_error(&attachment->sample_error);
	g_free(attachment->problem);
	g_free(attachment->device);
	g_free(attachment->link);
	g_free(attachment->reason);
	g_free(attachment->fuse.loop);
	g_free(attachment->tcmu.backstore);
	g_free(attachment->tcmu.target);
	g_free(attachment->tcmu.device);
	g_free(attachment->tcmu.foreign);
	g_free(attachment);
}

void attachment_to_json(const Attachment *attachment, Json *object)
{
	json_add_text(object, "state", attachment_state_name(attachment->state));
	json_add_text(object, "problem", attachment->problem);
	if (attachment->frontend != FRONTEND_AUTO)
		json_add_text(object, "frontend", frontend_name(attachment->frontend));
	json_add_text(object, "reason", attachment->reason);
	json_add_text(object, "device", attachment->device);
	json_add_text(object, "link", attachment->link);
	if (attachment->read_only)
		json_add_flag(object, "read_only", TRUE);
	if (attachment->facts.depth) {
		json_add_text(object, "base", attachment->facts.base);
		json_add_number(object, "depth", attachment->facts.depth);
	}
	if (attachment->server)
		json_add_number(object, "pid", (guint64)attachment->server);
}
