/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/places.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/files.h"

#define DEVICE_POOL "_device"
#define STATE_SUFFIX ".json"
#define LOCK_SECONDS 120

/* A block device's path as one word: "/dev/sdb" becomes "dev:sdb". */
static char *name_of_device(const char *path)
{
	return g_strdelimit(g_strdup(path + 1), "/", ':');
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
	g_autofree char *text = volume_name_format(name);
	g_autofree char *file = g_path_get_basename(text);
	g_autofree char *base = name->pool ? g_strdup(file) : name_of_device(text);
	g_autofree char *run = files_real_path(config->run_directory);

	places->config = config;
	places->lock = -1;
	places->name = volume_name_parse_any(text, NULL);
	places->text = g_steal_pointer(&text);
	places->key = g_strconcat(pool, ":", base, NULL);
	places->link = g_build_filename(config->device_directory, pool, base, NULL);
	places->mount = g_build_filename(run, "mnt", pool, base, NULL);
	places->file = g_build_filename(places->mount, file, NULL);
	places->state_file = g_strdup_printf("%s/state/%s" STATE_SUFFIX, run, places->key);
	places->pid_file = g_strdup_printf("%s/state/%s.pid", run, places->key);
	places->lock_file = g_strdup_printf("%s/lock/%s", run, places->key);
	places->read_only_file = g_strdup_printf("%s/state/%s.readonly", run, places->key);
	places->mark_file = g_strdup_printf("%s/state/%s.withdrawn", run, places->key);
	places->target_name = target_name(places->key);
	return places;
}

static void places_unlock(Places *places)
{
	if (places->lock < 0)
		return;
	unlink(places->lock_file);
	close(places->lock);
}

void places_free(Places *places)
{
	if (!places)
		return;
	places_unlock(places);
	volume_name_free(places->name);
	g_free(places->text);
	g_free(places->key);
	g_free(places->link);
	g_free(places->mount);
	g_free(places->file);
	g_free(places->state_file);
	g_free(places->pid_file);
	g_free(places->read_only_file);
	g_free(places->lock_file);
	g_free(places->mark_file);
	g_free(places->target_name);
	g_free(places);
}

static gboolean parent_make(const char *path, GError **error)
{
	g_autofree char *parent = g_path_get_dirname(path);

	return files_make_directory(parent, error);
}

/* Whether the open lock file still has its name.  The last holder removes it; then the lock counts
 * for nothing. */
static gboolean lock_file_is_current(int fd, const char *path)
{
	struct stat st, named;

	return !fstat(fd, &st) && !stat(path, &named) && st.st_ino == named.st_ino &&
	       st.st_dev == named.st_dev;
}

gboolean places_lock_within(Places *places, guint seconds, GError **error)
{
	if (!parent_make(places->state_file, error) || !parent_make(places->lock_file, error))
		return FALSE;
	while ((places->lock = files_lock(places->lock_file, seconds, error)) >= 0) {
		if (lock_file_is_current(places->lock, places->lock_file))
			return TRUE;
		close(places->lock);
	}
	return FALSE;
}

gboolean places_lock(Places *places, GError **error)
{
	return places_lock_within(places, LOCK_SECONDS, error);
}

gboolean places_try_lock(Places *places)
{
	return places_lock_within(places, 0, NULL);
}

gboolean places_set_read_only(const Places *places, gboolean read_only, GError **error)
{
	if (read_only)
		return files_write(places->read_only_file, "", 0, 0644, FILES_REPLACE, error);
	return !unlink(places->read_only_file) || errno == ENOENT ||
	       error_set_errno(error, errno, "remove %s", places->read_only_file);
}

gboolean places_is_read_only(const Places *places)
{
	return !access(places->read_only_file, F_OK);
}

void places_remove(const Places *places)
{
	g_autofree char *links = g_path_get_dirname(places->link);
	g_autofree char *mounts = g_path_get_dirname(places->mount);

	unlink(places->link);
	rmdir(links); /* of the pool; fails unless this was the last link */
	rmdir(places->mount);
	rmdir(mounts);
	unlink(places->pid_file);
	unlink(places->read_only_file);
	unlink(places->state_file);
	unlink(places->mark_file);
}

/* The name of the volume with this key; NULL for an invalid key. */
static VolumeName *name_of_key(const char *key)
{
	g_autofree char *text = g_strdelimit(g_strdup(key), ":", '/');

	return volume_name_parse_any(
		g_str_has_prefix(text, DEVICE_POOL "/") ? strchr(text, '/') : text, NULL);
}

/* The volume of a path "POOL/NAME" below one of our directories; NULL if there is none. */
static VolumeName *name_of_path(const char *path)
{
	g_autofree char *key = g_strdup(path);
	char *slash = strchr(key, '/');

	if (!slash)
		return NULL;
	*slash = ':';
	return name_of_key(key);
}

VolumeName *places_volume_of_file(const Config *config, const char *file)
{
	g_autofree char *run = files_real_path(config->run_directory);
	g_autofree char *mounts = g_build_filename(run, "mnt/", NULL);
	g_autofree char *mount = g_path_get_dirname(file);
	g_autoptr(VolumeName) name = NULL;
	g_autoptr(Places) places = NULL;

	if (!g_str_has_prefix(mount, mounts))
		return NULL;
	name = name_of_path(mount + strlen(mounts));
	places = name ? places_new(config, name) : NULL;
	return places && !strcmp(places->file, file) ? g_steal_pointer(&name) : NULL;
}

VolumeName *places_volume_of_link(const Config *config, const char *link)
{
	g_autofree char *links = g_build_filename(config->device_directory, "/", NULL);
	g_autofree char *path = NULL;
	char *partition;

	if (!g_str_has_prefix(link, links))
		return NULL;
	path = g_strdup(link + strlen(links));
	partition = g_strrstr(path, ":part");
	if (partition && partition[strlen(":part")])
		*partition = '\0';
	return name_of_path(path);
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
