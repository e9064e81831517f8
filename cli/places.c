/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/places.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/process.h"
#include "common/error.h"
#include "common/files.h"

#define DEVICE_POOL "_device"
#define STATE_SUFFIX ".json"
#define LOCK_SECONDS 120
#define UDEV_SECONDS 15

/* A block device's path as a name: "/dev/sdb" is "dev:sdb". */
static char *name_of_device(const char *path)
{
	return g_strdelimit(g_strdup(path + 1), "/", ':');
}

/* As the kernel shows paths: without symbolic links, as far as the path exists. */
static char *real_path(const char *path)
{
	char *found = realpath(path, NULL);
	char *copy = g_strdup(found);
	g_autofree char *base = NULL, *parent = NULL, *real_parent = NULL;

	free(found);
	if (copy || !strcmp(path, "/"))
		return copy ? copy : g_strdup(path);
	base = g_path_get_basename(path);
	parent = g_path_get_dirname(path);
	real_parent = real_path(parent);
	return g_build_filename(real_parent, base, NULL);
}

static char *target_name(const char *key)
{
	g_autofree char *digest = g_compute_checksum_for_string(G_CHECKSUM_SHA256, key, -1);

	return g_strdup_printf("naa.5001405%.9s", digest);
}

Places *places_new(const Config *config, const VolumeName *name)
{
	Places *places = g_new0(Places, 1);
	const char *pool = name->pool ? name->pool : DEVICE_POOL;
	g_autofree char *base = name->pool ? g_strdup(name->name) : name_of_device(name->name);
	g_autofree char *file = g_path_get_basename(name->name);
	g_autofree char *run = real_path(config->run_directory);

	places->text = volume_name_format(name);
	places->key = g_strconcat(pool, ":", base, NULL);
	places->link = g_build_filename(config->device_directory, pool, base, NULL);
	places->mount = g_build_filename(run, "mnt", pool, base, NULL);
	places->file = g_build_filename(places->mount, file, NULL);
	places->state_file = g_strdup_printf("%s/state/%s" STATE_SUFFIX, run, places->key);
	places->pid_file = g_strdup_printf("%s/state/%s.pid", run, places->key);
	places->lock_file = g_strdup_printf("%s/lock/%s", run, places->key);
	places->target_name = target_name(places->key);
	return places;
}

void places_free(Places *places)
{
	if (!places)
		return;
	g_free(places->text);
	g_free(places->key);
	g_free(places->link);
	g_free(places->mount);
	g_free(places->file);
	g_free(places->state_file);
	g_free(places->pid_file);
	g_free(places->lock_file);
	g_free(places->target_name);
	g_free(places);
}

static gboolean make_parent(const char *path, GError **error)
{
	g_autofree char *parent = g_path_get_dirname(path);

	return files_make_directory(parent, error);
}

int places_lock(const Places *places, GError **error)
{
	if (!make_parent(places->state_file, error) || !make_parent(places->lock_file, error))
		return -1;
	return files_lock(places->lock_file, LOCK_SECONDS, error);
}

static gboolean make_link(const Places *places, const char *device, GError **error)
{
	g_autofree char *temporary = g_strdup_printf("%s.%d", places->link, (int)getpid());

	if (!make_parent(places->link, error))
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

gboolean places_link_leads_to(const Places *places, const char *device)
{
	g_autofree char *target = g_file_read_link(places->link, NULL);
	g_autofree char *directory = g_path_get_dirname(places->link);
	g_autofree char *path = target ? files_absolute(target, directory) : NULL;

	return device && !g_strcmp0(path, device);
}

/* Once all that has happened so far is dealt with the rule has made the link; and no event of a
 * device that is gone comes later to take it away. */
static void wait_for_udev(void)
{
	static const char *const argv[] = {"udevadm", "settle", "--timeout=10", NULL};

	if (!access("/run/udev/control", F_OK))
		process_run(argv, UDEV_SECONDS, NULL);
}

gboolean places_link(const Places *places, const char *device, GError **error)
{
	wait_for_udev();
	return places_link_leads_to(places, device) || make_link(places, device, error);
}

void places_remove(const Places *places)
{
	g_autofree char *links = g_path_get_dirname(places->link);
	g_autofree char *mounts = g_path_get_dirname(places->mount);

	unlink(places->link);
	rmdir(links); /* the pool's, if this was the last one in it */
	rmdir(places->mount);
	rmdir(mounts);
	unlink(places->pid_file);
	unlink(places->state_file);
}

/* The other way round from the key to the name; NULL for what is no key. */
static VolumeName *name_of_key(const char *key)
{
	g_autofree char *text = g_strdelimit(g_strdup(key), ":", '/');

	return volume_name_parse(g_str_has_prefix(text, DEVICE_POOL "/") ? strchr(text, '/') : text,
				 NULL);
}

VolumeName *places_volume_of_file(const Config *config, const char *file)
{
	g_autofree char *run = real_path(config->run_directory);
	g_autofree char *mounts = g_build_filename(run, "mnt/", NULL);
	g_autofree char *mount = g_path_get_dirname(file);
	g_autofree char *key = NULL;
	g_autoptr(VolumeName) name = NULL;
	g_autoptr(Places) places = NULL;
	char *slash;

	if (!g_str_has_prefix(mount, mounts))
		return NULL;
	key = g_strdup(mount + strlen(mounts));
	slash = strchr(key, '/');
	if (slash)
		*slash = ':';
	name = slash ? name_of_key(key) : NULL;
	places = name ? places_new(config, name) : NULL;
	return places && !strcmp(places->file, file) ? g_steal_pointer(&name) : NULL;
}

GPtrArray *places_known(const Config *config)
{
	GPtrArray *names = g_ptr_array_new_with_free_func((GDestroyNotify)volume_name_free);
	g_autofree char *directory = g_build_filename(config->run_directory, "state", NULL);
	g_autoptr(GDir) dir = g_dir_open(directory, 0, NULL);
	const char *file;

	while (dir && (file = g_dir_read_name(dir))) {
		g_autofree char *key =
			g_str_has_suffix(file, STATE_SUFFIX)
				? g_strndup(file, strlen(file) - strlen(STATE_SUFFIX))
				: NULL;
		VolumeName *name = key ? name_of_key(key) : NULL;

		if (name)
			g_ptr_array_add(names, name);
	}
	return names;
}
