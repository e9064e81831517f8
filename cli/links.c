/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/links.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/process.h"
#include "cli/shown-volume.h"
#include "common/base/autofd.h"
#include "common/base/error.h"
#include "common/base/files.h"
#include "common/base/logging.h"

#define UDEV_SECONDS 15
#define PARTITION ":part"
#define MARK_MAX 64

/* ---- udev */

static gboolean udev_runs(void)
{
	return !access("/run/udev/control", F_OK);
}

/* Waits until udev has handled all events so far.  Then the rule has made the link, and no late
 * event of a removed device can take it away. */
static void udev_wait(void)
{
	static const char *const argv[] = {"udevadm", "settle", "--timeout=10", NULL};

	if (udev_runs())
		process_run(argv, UDEV_SECONDS, NULL);
}

gboolean links_settle(void)
{
	gboolean pending = !access("/run/udev/queue", F_OK);

	if (pending)
		udev_wait();
	return pending;
}

/* Makes udev apply the rule to the device and its partitions again. */
static void udev_tell(const char *device)
{
	g_autofree char *disk = g_path_get_basename(device);
	g_autofree char *sys = g_build_filename("/sys/block", disk, NULL);
	g_autoptr(GDir) dir = udev_runs() ? g_dir_open(sys, 0, NULL) : NULL;
	const char *entry;

	if (!dir)
		return;
	files_set_attribute(sys, "uevent", "change");
	while ((entry = g_dir_read_name(dir))) {
		g_autofree char *partition = g_build_filename(sys, entry, NULL);

		if (g_str_has_prefix(entry, disk))
			files_set_attribute(partition, "uevent", "change");
	}
	udev_wait();
}

/* ---- making links */

static char *link_target(const char *link)
{
	g_autofree char *target = g_file_read_link(link, NULL);
	g_autofree char *directory = g_path_get_dirname(link);

	return target ? files_absolute(target, directory) : NULL;
}

gboolean links_lead_to(const Places *places, const char *device)
{
	g_autofree char *path = link_target(places->link);

	return device && !g_strcmp0(path, device);
}

static gboolean link_make(const Places *places, const char *device, GError **error)
{
	g_autofree char *temporary = g_strdup_printf("%s.%d", places->link, (int)getpid());
	g_autofree char *directory = g_path_get_dirname(places->link);

	if (!files_make_directory(directory, error))
		return FALSE;
	unlink(temporary);
	if (symlink(device, temporary))
		return error_set_errno(error, errno, "link %s", temporary);
	if (rename(temporary, places->link)) {
		error_set_errno(error, errno, "link %s", places->link);
		unlink(temporary);
		return FALSE;
	}
	return TRUE;
}

gboolean links_make(const Places *places, const char *device, GError **error)
{
	if (!unlink(places->mark_file))
		udev_tell(device);
	udev_wait();
	return links_lead_to(places, device) || link_make(places, device, error);
}

/* ---- withdrawing */

/* The mark names this process and counts only while it lives, so that a process that dies leaves no
 * volume without links. */
static gboolean mark_set(const Places *places, GError **error)
{
	g_autofree char *text = g_strdup_printf("%d %" G_GINT64_FORMAT "\n", (int)getpid(),
						process_start_time(getpid()));

	return files_write(places->mark_file, text, strlen(text), 0644, FILES_REPLACE, error);
}

gboolean links_are_withdrawn(const Places *places)
{
	g_autofree char *text = files_read(places->mark_file, MARK_MAX, NULL, NULL);
	gint64 start;
	int pid;

	return text && sscanf(text, "%d %" G_GINT64_FORMAT, &pid, &start) == 2 &&
	       process_is_alive(pid, start);
}

/* Whether `entry` is the link of a partition: "db:part1" for the base "db". */
static gboolean link_is_of_partition(const char *entry, const char *base)
{
	gsize length = strlen(base);

	return !strncmp(entry, base, length) && g_str_has_prefix(entry + length, PARTITION);
}

static gboolean links_remove(const Places *places, GError **error)
{
	g_autofree char *directory = g_path_get_dirname(places->link);
	g_autofree char *base = g_path_get_basename(places->link);
	g_autoptr(GDir) dir = g_dir_open(directory, 0, NULL);
	const char *entry;

	while (dir && (entry = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(directory, entry, NULL);

		if (strcmp(entry, base) && !link_is_of_partition(entry, base))
			continue;
		if (unlink(path) && errno != ENOENT)
			return error_set_errno(error, errno, "remove %s", path);
	}
	return TRUE;
}

gboolean links_withdraw(const Places *places, GError **error)
{
	if (!mark_set(places, error))
		return FALSE;
	/* The rule may have asked `storageos udev` before the mark was set. */
	udev_wait();
	if (links_remove(places, error))
		return TRUE;
	unlink(places->mark_file);
	return FALSE;
}

void links_restore(const Places *places, const char *device)
{
	g_autoptr(GError) error = NULL;

	if (!links_make(places, device, &error))
		log_warning("%s: %s", places->text, error->message);
}

/* ---- links to wrong devices */

/* The name of the disk that a device node belongs to: "loop3" for "/dev/loop3p1". */
static char *disk_of(const char *device)
{
	g_autofree char *name = g_path_get_basename(device);
	g_autofree char *sys = g_build_filename("/sys/class/block", name, NULL);
	g_autofree char *mark = g_build_filename(sys, "partition", NULL);
	g_autofree char *path = access(mark, F_OK) ? NULL : realpath(sys, NULL);
	g_autofree char *parent = path ? g_path_get_dirname(path) : NULL;

	return parent ? g_path_get_basename(parent) : g_steal_pointer(&name);
}

static gboolean link_leads_astray(const Config *config, const VolumeName *name, const char *link)
{
	g_autofree char *device = link_target(link);
	g_autofree char *disk = device ? disk_of(device) : NULL;
	g_autoptr(VolumeName) shown = disk ? shown_volume(config, disk) : NULL;
	g_autofree char *shown_text = shown ? volume_name_format(shown) : NULL;
	g_autofree char *text = volume_name_format(name);

	return device && g_strcmp0(text, shown_text);
}

static void link_sweep(const Config *config, const char *link)
{
	g_autoptr(VolumeName) name = places_volume_of_link(config, link);
	g_autoptr(Places) places = NULL;

	/* Take the lock only if something is wrong. */
	if (!name || !link_leads_astray(config, name, link))
		return;
	places = places_new(config, name);
	if (places_try_lock(places) && link_leads_astray(config, name, link) && !unlink(link))
		log_warning("removed %s, which led to a device that is not the volume's", link);
}

void links_sweep(const Config *config)
{
	g_autoptr(GDir) pools = g_dir_open(config->device_directory, 0, NULL);
	const char *pool, *entry;

	while (pools && (pool = g_dir_read_name(pools))) {
		g_autofree char *directory = g_build_filename(config->device_directory, pool, NULL);
		g_autoptr(GDir) dir = g_dir_open(directory, 0, NULL);

		while (dir && (entry = g_dir_read_name(dir))) {
			g_autofree char *link = g_build_filename(directory, entry, NULL);

			link_sweep(config, link);
		}
	}
}
