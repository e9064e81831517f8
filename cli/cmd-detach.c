/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/attachment.h"
#include "cli/cli.h"
#include "cli/interrupt.h"
#include "cli/take-down.h"
#include "common/base/autofd.h"
#include "common/base/error.h"

static gboolean detach_locked(const Places *places, GError **error)
{
	g_autoptr(Attachment) attachment = attachment_inspect(places);

	if (attachment->health == ATTACHMENT_FOREIGN)
		return error_set(error, STORAGEOS_ERROR_BUSY, "%s", attachment->problem);
	if (attachment->health != ATTACHMENT_NONE)
		return take_down(places, attachment, error);
	if (attachment->facts_error) {
		g_propagate_error(error, g_error_copy(attachment->facts_error));
		return FALSE;
	}
	if (attachment->litter)
		places_remove(places);
	cli_say("detach %s: not attached", places->text);
	return TRUE;
}

static gboolean detach_volume(const Config *config, const VolumeName *name, GError **error)
{
	g_autoptr(Places) places = places_new(config, name);
	gboolean done;

	gboolean locked = places_lock(places, error);
	interrupt_hold();
	done = locked && detach_locked(places, error);
	if (!done)
		g_prefix_error(error, "detach %s: ", places->text);
	cli_progress_end();
	return done;
}

static int verb_detach_run(int argc, char **argv)
{
	g_autoptr(VolumeName) name = NULL;
	g_autoptr(GError) error = NULL;
	g_auto(Cli) cli = {0};
	int status;

	if (!cli_start(&cli, &verb_detach, NULL, 1, 1, argc, argv, &status))
		return status;
	name = volume_name_parse_any(cli.arguments[0], &error);
	if (!name)
		return cli_usage("detach: %s", error->message);
	return detach_volume(cli.config, name, &error) ? CLI_DONE : cli_failed(error);
}

const Verb verb_detach = {"detach", "NAME", "remove the block device of a volume", verb_detach_run};
