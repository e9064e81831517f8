/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/attachment.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/frontend-fuse.h"
#include "cli/frontend-tcmu.h"
#include "cli/links.h"
#include "cli/served.h"
#include "common/error.h"

const char *attachment_health_name(AttachmentHealth health)
{
	switch (health) {
	case ATTACHMENT_NONE:
		return "detached";
	case ATTACHMENT_WORKING:
		return "attached";
	case ATTACHMENT_BROKEN:
		return "broken";
	case ATTACHMENT_FOREIGN:
		return "served elsewhere";
	}
	return "?";
}

/* The first part that is missing of those that all have to be there; NULL if none is. */
static const char *fuse_problem(const FuseParts *parts)
{
	if (!parts->server)
		return "storageos-fuse does not run any more";
	if (!parts->mounted)
		return "the file system of storageos-fuse is not mounted any more";
	if (!parts->loop)
		return "its loop device is gone";
	return NULL;
}

static const char *tcmu_problem(const TcmuParts *parts, const char *holder)
{
	if (!parts->runner)
		return "tcmu-runner does not run any more";
	if (!parts->backstore)
		return "its backstore is gone";
	if (!holder)
		return "tcmu-runner does not serve it (see tcmu-runner's log)";
	if (!parts->target || !parts->lun)
		return "its loopback LUN is gone";
	if (!parts->device)
		return "its SCSI device is gone";
	return NULL;
}

static void judge_fuse(Attachment *attachment)
{
	const char *problem = fuse_problem(&attachment->fuse);

	attachment->frontend = FRONTEND_FUSE;
	attachment->health = problem ? ATTACHMENT_BROKEN : ATTACHMENT_WORKING;
	attachment->problem = g_strdup(problem);
	attachment->device = g_strdup(attachment->fuse.loop);
	attachment->server = attachment->fuse.server;
}

static void judge_tcmu(Attachment *attachment)
{
	const char *problem = tcmu_problem(&attachment->tcmu, attachment->facts.holder);

	attachment->frontend = FRONTEND_TCMU;
	attachment->health = problem ? ATTACHMENT_BROKEN : ATTACHMENT_WORKING;
	attachment->problem = g_strdup(problem);
	attachment->device = g_strdup(attachment->tcmu.device);
	attachment->server = attachment->tcmu.runner;
}

static void judge(Attachment *attachment)
{
	const char *holder = attachment->facts.holder;
	const FuseParts *fuse = &attachment->fuse;
	const TcmuParts *tcmu = &attachment->tcmu;

	if (tcmu->backstore || tcmu->target) {
		judge_tcmu(attachment);
	} else if (fuse->mounted || fuse->server || fuse->loop) {
		judge_fuse(attachment);
	} else if (tcmu->foreign) {
		attachment->health = ATTACHMENT_FOREIGN;
		attachment->frontend = FRONTEND_TCMU;
		attachment->problem = g_strdup_printf("it is the backstore %s, which was made with "
						      "targetcli",
						      tcmu->foreign);
	} else if (holder) {
		attachment->health = ATTACHMENT_FOREIGN;
		attachment->problem = g_strdup_printf("%s has it open", holder);
	}
}

static void add_what_is_remembered(const Places *places, const State *state, Attachment *attachment)
{
	struct stat st;

	if (state && attachment->health != ATTACHMENT_NONE &&
	    state->frontend == attachment->frontend)
		attachment->reason = g_strdup(state->reason);
	if (links_lead_to(places, attachment->device))
		attachment->link = g_strdup(places->link);
	attachment->litter = !lstat(places->link, &st) || !lstat(places->state_file, &st);
}

/* The name that people use leads to what the volume has now, or there is none. */
static void judge_link(const Places *places, Attachment *attachment)
{
	g_autofree char *target = g_file_read_link(places->link, NULL);

	if (attachment->health == ATTACHMENT_WORKING && !attachment->link)
		attachment->problem =
			target ? g_strdup_printf("the link %s leads to another device, %s",
						 places->link, target)
			       : g_strdup_printf("there is no link %s", places->link);
	else if (attachment->health == ATTACHMENT_NONE && target)
		attachment->problem = g_strdup_printf(
			"it is not attached, but the link %s is there, and leads to %s",
			places->link, target);
	else
		return;
	attachment->health = ATTACHMENT_BROKEN;
}

/* Whatever else is wrong with it is of less interest. */
static void judge_identity(const Places *places, Attachment *attachment)
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

static void look_at_server(const Places *places, Attachment *attachment)
{
	GError **error = &attachment->sample_error;

	attachment->sample = sample_take(places->config, places->name, error);
	if (g_error_matches(*error, STORAGEOS_ERROR, STORAGEOS_ERROR_NOT_FOUND))
		g_clear_error(error);
}

Attachment *attachment_inspect(const Places *places)
{
	Attachment *attachment = g_new0(Attachment, 1);
	g_autoptr(State) state = state_read(places);

	/* What is attached can be told of even if the volume's file cannot be read any more. */
	facts_read(places->config, places->name, &attachment->facts, &attachment->facts_error);
	frontend_fuse_look(places, state, &attachment->fuse);
	frontend_tcmu_look(places, &attachment->tcmu);
	judge(attachment);
	add_what_is_remembered(places, state, attachment);
	judge_link(places, attachment);
	look_at_server(places, attachment);
	judge_identity(places, attachment);
	return attachment;
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
	json_add_text(object, "state", attachment_health_name(attachment->health));
	json_add_text(object, "problem", attachment->problem);
	if (attachment->health == ATTACHMENT_WORKING || attachment->health == ATTACHMENT_BROKEN) {
		if (attachment->frontend != FRONTEND_AUTO)
			json_add_text(object, "frontend", frontend_name(attachment->frontend));
		json_add_text(object, "reason", attachment->reason);
		json_add_text(object, "device", attachment->device);
		json_add_text(object, "link", attachment->link);
		if (attachment->server)
			json_add_number(object, "pid", (guint64)attachment->server);
	}
}
