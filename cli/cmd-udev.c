/* SPDX-License-Identifier: Apache-2.0 */
/*
 * udev: for the udev rule, not for people.  Prints which volume a block device is, whether it was
 * made by `attach`, by targetcli or by the target configuration that is restored at boot.
 *
 *     STORAGEOS_VOLUME=default/db
 *     STORAGEOS_LINK=storageos/default/db        below /dev
 *     STORAGEOS_COPY=1                           of a snapshot or a clone
 *
 * Prints nothing for any other device, and no link for a volume that is being detached.  udev waits
 * for it, so it reads only /sys, configfs, the configuration and the registry: never the volume or
 * its file system, whose server may hang.
 */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/links.h"
#include "cli/shown-volume.h"
#include "common/service/registry.h"

#define DEV "/dev/"

/* Whether what the volume holds has the UUIDs and labels of what another one holds. */
static gboolean is_copy(const Config *config, const VolumeName *name)
{
	RegistryEntry entry;

	return name->snapshot ||
	       (name->pool && registry_find(config, name, &entry, NULL) && entry.clone);
}

static int verb_udev_run(int argc, char **argv)
{
	g_autofree char *disk = NULL, *text = NULL;
	g_autoptr(VolumeName) name = NULL;
	g_autoptr(Places) places = NULL;
	g_auto(Cli) cli = {0};
	int status;

	if (!cli_start(&cli, &verb_udev, NULL, 1, 1, argc, argv, &status))
		return status;
	disk = g_path_get_basename(cli.arguments[0]);
	name = shown_volume(cli.config, disk);
	if (!name)
		return CLI_DONE;
	places = places_new(cli.config, name);
	text = volume_name_format(name);
	printf("STORAGEOS_VOLUME=%s\n", text);
	if (is_copy(cli.config, name))
		puts("STORAGEOS_COPY=1");
	/* udev makes links below /dev only. */
	if (g_str_has_prefix(places->link, DEV) && !links_are_withdrawn(places))
		printf("STORAGEOS_LINK=%s\n", places->link + strlen(DEV));
	return CLI_DONE;
}

const Verb verb_udev = {"udev", "DEVICE", "show which volume a block device is (for the udev rule)",
			verb_udev_run};
