/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/attachment.h"
#include "cli/cli.h"
#include "cli/interrupt.h"
#include "cli/known-volumes.h"
#include "cli/mounted-on.h"
#include "cli/system-log.h"
#include "cli/take-down.h"
#include "common/base/autofd.h"
#include "common/base/error.h"

#define UNMOUNTED_SECONDS 120 /* systemd gives an unmount 90 s */

static gboolean is_mounted(char *device)
{
	g_autoptr(GPtrArray) devices = g_ptr_array_new();
	g_autoptr(GPtrArray) mounted = NULL;

	g_ptr_array_add(devices, device);
	mounted = mounted_on_devices(devices);
	return mounted->len > 0;
}

/* Without the volume's lock, for which another `detach` at the same shutdown would wait. */
static void unmounted_await(const Config *config, const VolumeName *name)
{
	gint64 end = g_get_monotonic_time() + UNMOUNTED_SECONDS * G_USEC_PER_SEC;
	g_autoptr(Places) places = places_new(config, name);
	g_autoptr(Attachment) attachment = attachment_inspect(places);

	while (attachment->device && is_mounted(attachment->device) && g_get_monotonic_time() < end)
		g_usleep(200000);
}

static gboolean detach_locked(const Places *places, GError **error)
{
	g_autoptr(Attachment) attachment = attachment_inspect(places);

	if (attachment->health == ATTACHMENT_FOREIGN)
		return error_set(error, STORAGEOS_ERROR_BUSY, "%s", attachment->problem);
	if (attachment->health != ATTACHMENT_NONE) {
		if (!take_down(places, attachment, error))
			return FALSE;
		system_log_event(LOGGING_INFO, "detached", "detach %s: detached", places->text);
		return TRUE;
	}
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
	system_log_about(places->text, NULL);
	interrupt_hold();
	done = locked && detach_locked(places, error);
	if (!done)
		g_prefix_error(error, "detach %s: ", places->text);
	cli_progress_end();
	return done;
}

/* What `attach` has made, whole or not. */
static GPtrArray *names_attached(const Config *config)
{
	GPtrArray *names = g_ptr_array_new_with_free_func((GDestroyNotify)volume_name_free);
	g_autoptr(GPtrArray) known = known_volumes(config);

	for (guint i = 0; i < known->len; i++) {
		g_autoptr(Places) places = places_new(config, g_ptr_array_index(known, i));
		g_autoptr(Attachment) attachment = attachment_inspect(places);
		AttachmentHealth health = attachment->health;

		if (health == ATTACHMENT_WORKING || health == ATTACHMENT_BROKEN)
			g_ptr_array_add(names, volume_name_parse_any(places->text, NULL));
	}
	return names;
}

/* A volume that cannot be detached does not keep the others from it; a signal does. */
static int names_detach(const Config *config, const GPtrArray *names, gboolean unmounted)
{
	int status = CLI_DONE;

	for (guint i = 0; i < names->len; i++) {
		g_autoptr(GError) error = NULL;

		if (unmounted)
			unmounted_await(config, g_ptr_array_index(names, i));
		if (!detach_volume(config, g_ptr_array_index(names, i), &error))
			status = cli_failed(error);
		if (i + 1 < names->len && !interrupt_check(NULL))
			return CLI_FAILED;
	}
	return status;
}

static int verb_detach_run(int argc, char **argv)
{
	gboolean all = FALSE, unmounted = FALSE;
	const GOptionEntry options[] = {
		{"all", 0, 0, G_OPTION_ARG_NONE, &all,
		 "Every volume and snapshot that `attach` has attached", NULL},
		/* for storageos-fuse@, whose file systems are unmounted at the same time */
		{"unmounted", 0, G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_NONE, &unmounted, NULL, NULL},
		{0},
	};
	g_autoptr(GPtrArray) names = NULL;
	g_auto(Cli) cli = {0};
	int status;

	if (!cli_start(&cli, &verb_detach, options, 0, G_MAXUINT, argc, argv, &status))
		return status;
	if (all == (cli.n_arguments > 0))
		return cli_usage("detach: %s (usage: storageos detach %s)",
				 all ? "--all excludes names" : "too few arguments",
				 verb_detach.arguments);
	names = all ? names_attached(cli.config)
		    : cli_volume_names(&cli, "detach", volume_name_parse_any);
	return names ? names_detach(cli.config, names, unmounted) : CLI_USAGE;
}

const Verb verb_detach = {"detach", "NAME... | --all", "remove the block devices of volumes",
			  verb_detach_run};
