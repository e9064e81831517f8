/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "cli/attachment.h"
#include "cli/cli.h"
#include "cli/device-use.h"
#include "cli/interrupt.h"
#include "cli/known-volumes.h"
#include "cli/shown-volume.h"
#include "cli/system-log.h"
#include "cli/take-down.h"
#include "cli/unmount.h"
#include "common/base/autofd.h"
#include "common/base/error.h"

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

/* What `attach` has made, whole or not, over this front end; AUTO: over either. */
static GPtrArray *names_attached(const Config *config, Frontend frontend)
{
	GPtrArray *names = g_ptr_array_new_with_free_func((GDestroyNotify)volume_name_free);
	g_autoptr(GPtrArray) known = known_volumes(config);

	for (guint i = 0; i < known->len; i++) {
		g_autoptr(Places) places = places_new(config, g_ptr_array_index(known, i));
		g_autoptr(Attachment) attachment = attachment_inspect(places);
		AttachmentHealth health = attachment->health;

		if (frontend != FRONTEND_AUTO && attachment->frontend != frontend)
			continue;
		if (health == ATTACHMENT_WORKING || health == ATTACHMENT_BROKEN)
			g_ptr_array_add(names, volume_name_parse_any(places->text, NULL));
	}
	return names;
}

/* A volume that cannot be detached does not keep the others from it; a signal does. */
static int names_detach(const Config *config, const GPtrArray *names)
{
	int status = CLI_DONE;

	for (guint i = 0; i < names->len; i++) {
		g_autoptr(GError) error = NULL;

		if (!detach_volume(config, g_ptr_array_index(names, i), &error))
			status = cli_failed(error);
		if (i + 1 < names->len && !interrupt_check(NULL))
			return CLI_FAILED;
	}
	return status;
}

/* ---- what uses the devices */

/* Of those that `attach` has made. */
static GPtrArray *devices_of(const Config *config, const GPtrArray *names)
{
	GPtrArray *devices = g_ptr_array_new_with_free_func(g_free);

	for (guint i = 0; i < names->len; i++) {
		g_autoptr(Places) places = places_new(config, g_ptr_array_index(names, i));
		g_autoptr(Attachment) attachment = attachment_inspect(places);

		if (attachment->device && attachment->health != ATTACHMENT_FOREIGN)
			g_ptr_array_add(devices, g_strdup(attachment->device));
	}
	return devices;
}

/* Of all volumes, also those of targetcli. */
static GPtrArray *devices_all(const Config *config, Frontend frontend)
{
	GPtrArray *devices = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GDir) dir = g_dir_open("/sys/block", 0, NULL);
	const char *disk;

	while (dir && (disk = g_dir_read_name(dir))) {
		gboolean loop = g_str_has_prefix(disk, "loop");
		g_autoptr(VolumeName) name = NULL;

		if (frontend != (loop ? FRONTEND_TCMU : FRONTEND_FUSE))
			name = shown_volume(config, disk);
		if (name)
			g_ptr_array_add(devices, g_build_filename("/dev", disk, NULL));
	}
	return devices;
}

static gboolean names_have(const GPtrArray *names, const char *text)
{
	for (guint i = 0; i < names->len; i++) {
		g_autofree char *other = volume_name_format(g_ptr_array_index(names, i));

		if (!strcmp(text, other))
			return TRUE;
	}
	return FALSE;
}

/* Those of other volumes are targetcli's LUNs, which the target's own service removes.  FALSE: one
 * is in use. */
static gboolean others_check(const Config *config, const GPtrArray *devices, const GPtrArray *names)
{
	gboolean idle = TRUE;

	for (guint i = 0; i < devices->len; i++) {
		const char *device = g_ptr_array_index(devices, i);
		g_autofree char *disk = g_path_get_basename(device);
		g_autoptr(VolumeName) name = shown_volume(config, disk);
		g_autofree char *text = name ? volume_name_format(name) : NULL;
		g_autofree char *use =
			text && !names_have(names, text) ? device_use_find(device) : NULL;

		if (use)
			cli_say("detach %s: it is in use: %s", text, use);
		idle = idle && !use;
	}
	return idle;
}

/* Over FUSE, volumes are found in the run directory, which the configuration may name. */
static gboolean all_are_found(const Config *config, Frontend frontend)
{
	if (!config->problem || frontend == FRONTEND_TCMU)
		return TRUE;
	cli_say("detach: without the whole configuration, volumes over FUSE may be left");
	return FALSE;
}

typedef struct {
	gboolean all, unmount;
	Frontend frontend;
} DetachWish;

static int wish_carry_out(const Config *config, const DetachWish *wish, GPtrArray *given)
{
	g_autoptr(GPtrArray) devices = NULL;
	g_autoptr(GPtrArray) names = NULL;
	int status;

	if (wish->unmount) {
		devices =
			wish->all ? devices_all(config, wish->frontend) : devices_of(config, given);
		interrupt_hold();
		unmount_devices(devices);
		if (!interrupt_check(NULL))
			return CLI_FAILED;
	}
	names = wish->all ? names_attached(config, wish->frontend) : g_ptr_array_ref(given);
	status = names_detach(config, names);
	if (wish->all && wish->unmount && !others_check(config, devices, names))
		status = CLI_FAILED;
	if (wish->all && !all_are_found(config, wish->frontend))
		status = CLI_FAILED;
	return status;
}

static int verb_detach_run(int argc, char **argv)
{
	g_autofree char *frontend = NULL;
	DetachWish wish = {.frontend = FRONTEND_AUTO};
	const GOptionEntry options[] = {
		{"all", 0, 0, G_OPTION_ARG_NONE, &wish.all,
		 "Every volume and snapshot that `attach` has attached", NULL},
		{"unmount", 'u', 0, G_OPTION_ARG_NONE, &wish.unmount,
		 "First unmount what is on the devices; with --all also those of targetcli", NULL},
		{"frontend", 0, 0, G_OPTION_ARG_FILENAME, &frontend,
		 "With --all: only over tcmu, or only over fuse", "FRONTEND"},
		{0},
	};
	g_autoptr(GPtrArray) names = NULL;
	g_auto(Cli) cli = {0};
	int status;

	if (!cli_start(&cli, &verb_detach, options, 0, G_MAXUINT, argc, argv, &status))
		return status;
	if (wish.all == (cli.n_arguments > 0))
		return cli_usage("detach: %s (usage: storageos detach %s)",
				 wish.all ? "--all excludes names" : "too few arguments",
				 verb_detach.arguments);
	if (frontend && (!wish.all || !frontend_parse(frontend, &wish.frontend) ||
			 wish.frontend == FRONTEND_AUTO))
		return cli_usage("detach: --frontend needs --all, and tcmu or fuse");
	names = cli_volume_names(&cli, "detach", volume_name_parse_any);
	return names ? wish_carry_out(cli.config, &wish, names) : CLI_USAGE;
}

const Verb verb_detach = {"detach", "NAME... | --all [--unmount]",
			  "remove the block devices of volumes", verb_detach_run};
