/* SPDX-License-Identifier: Apache-2.0 */
#include "common/service/pool-base.h"

#include <string.h>

#include "common/base/error.h"
#include "common/engine/superblock.h"
#include "common/service/pool-private.h"

#define HOLDS_TRIES 10u

/* ---- looking through the pools */

/* TRUE ends the search. */
typedef gboolean (*VolumeVisit)(const VolumeName *name, const Superblock *sb, gpointer data);

static gboolean pool_visit(const ConfigPool *pool, VolumeVisit visit, gpointer data)
{
	/* Images of Ceph are no clones of ours, nor bases. */
	g_autoptr(GPtrArray) names = pool->ceph ? NULL : pool_list(pool, NULL);

	for (guint i = 0; names && i < names->len; i++) {
		VolumeName name = {.pool = pool->name, .name = g_ptr_array_index(names, i)};
		g_autofree char *path = pool_file_path(pool, &name);
		g_autoptr(Backing) backing = backing_open(path, BACKING_OPEN_READ_ONLY, NULL);
		SuperblockPair pair;

		if (backing && superblock_load(backing, &pair, NULL) &&
		    visit(&name, &pair.current, data))
			return TRUE;
	}
	return FALSE;
}

/* The block devices of this machine. */
static gboolean devices_visit(VolumeVisit visit, gpointer data)
{
	g_autoptr(GDir) dir = g_dir_open("/sys/class/block", 0, NULL);
	const char *device;

	while (dir && (device = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename("/dev", device, NULL);
		g_autoptr(Backing) backing = NULL;
		VolumeName name = {.name = path};
		SuperblockPair pair;

		g_strdelimit(path, "!", '/'); /* as /sys has it */
		backing = backing_open(path, BACKING_OPEN_READ_ONLY, NULL);
		if (backing && superblock_load(backing, &pair, NULL) &&
		    visit(&name, &pair.current, data))
			return TRUE;
	}
	return FALSE;
}

static gboolean pools_visit(const Config *config, VolumeVisit visit, gpointer data)
{
	for (guint i = 0; i < config->pools->len; i++)
		if (pool_visit(g_ptr_array_index(config->pools, i), visit, data))
			return TRUE;
	return FALSE;
}

typedef struct {
	const guint8 *uuid; /* of a volume */
	const char *text;   /* the same, of a clone */
	VolumeName *name;
} Wanted;

static VolumeName *name_copy(const VolumeName *name)
{
	const VolumeName plain = {.pool = name->pool, .name = name->name};
	g_autofree char *text = volume_name_format(&plain);

	return volume_name_parse(text, NULL);
}

static gboolean visit_volume(const VolumeName *name, const Superblock *sb, gpointer data)
{
	Wanted *wanted = data;

	if (memcmp(sb->uuid, wanted->uuid, sizeof sb->uuid) != 0)
		return FALSE;
	wanted->name = name_copy(name);
	return TRUE;
}

static gboolean visit_clone(const VolumeName *name, const Superblock *sb, gpointer data)
{
	Wanted *wanted = data;
	char uuid[UUID_TEXT];

	uuid_format(sb->uuid, uuid);
	if (strcmp(uuid, wanted->text) != 0 || !(sb->incompatible & FORMAT_INCOMPATIBLE_BASE))
		return FALSE;
	wanted->name = name_copy(name);
	return TRUE;
}

char *pool_clone_find(const Config *config, const char *uuid)
{
	Wanted wanted = {.text = uuid};
	g_autoptr(VolumeName) name = NULL;

	if (!pools_visit(config, visit_clone, &wanted))
		devices_visit(visit_clone, &wanted);
	name = wanted.name;
	return name ? volume_name_format(name) : NULL;
}

/* ---- the base */

static gboolean volume_is_base(const Config *config, const VolumeName *name,
			       const BaseIdentity *base)
{
	g_autofree char *path = pool_existing_path(config, name, NULL);
	g_autoptr(Backing) backing = path ? backing_open(path, BACKING_OPEN_READ_ONLY, NULL) : NULL;
	SuperblockPair pair;

	return backing && superblock_load(backing, &pair, NULL) &&
	       !memcmp(pair.current.uuid, base->volume, sizeof base->volume);
}

VolumeName *pool_base_find(const Config *config, const BaseIdentity *base, GError **error)
{
	g_autoptr(VolumeName) was = volume_name_parse_any(base->name, NULL);
	Wanted wanted = {.uuid = base->volume};
	char uuid[UUID_TEXT];

	if (was) {
		VolumeName plain = {.pool = was->pool, .name = was->name};

		if (volume_is_base(config, &plain, base))
			return name_copy(&plain);
	}
	if (pools_visit(config, visit_volume, &wanted))
		return wanted.name;
	uuid_format(base->volume, uuid);
	error_set(
		error, STORAGEOS_ERROR_NOT_FOUND,
		"its base '%s' is missing: no pool has the volume with UUID %s; mount its pool, or "
		"restore it",
		base->name, uuid);
	return NULL;
}

guint pool_base_depth(const Config *config, const BaseIdentity *base)
{
	BaseIdentity at = *base;
	guint depth = 1;

	for (; depth < VOLUME_BASES_MAX; depth++) {
		g_autoptr(VolumeName) name = pool_base_find(config, &at, NULL);
		g_autofree char *path = name ? pool_existing_path(config, name, NULL) : NULL;
		g_autoptr(Backing) backing =
			path ? backing_open(path, BACKING_OPEN_READ_ONLY, NULL) : NULL;

		if (!backing || !volume_find_base(backing, &at))
			break;
	}
	return depth;
}

static gboolean base_join(const char *uuid, guint64 generation, gpointer data, GError **error)
{
	PoolReader *reader = data;

	return pool_reader_join(reader, uuid, generation, error);
}

static Volume *base_open_at(const BaseIdentity *base, const VolumeName *name, PoolBases *bases,
			    GError **error)
{
	PoolBases below = {bases->config, bases->depth + 1};
	g_autofree char *path = pool_existing_path(bases->config, name, error);
	Backing *backing = path ? backing_open(path, BACKING_OPEN_READ_ONLY, error) : NULL;
	PoolReader *reader = backing ? pool_reader_new(bases->config) : NULL;
	VolumeSnapshotOpening opening = {.uuid = base->snapshot,
					 .join = base_join,
					 .join_data = reader,
					 .open_base = pool_base_open,
					 .base_data = &below};
	Volume *volume;

	if (!backing)
		return NULL;
	volume = volume_open_snapshot_linked(backing, base->name, &opening, error);
	if (volume)
		volume_keep(volume, reader, pool_reader_free);
	else
		pool_reader_free(reader);
	return volume;
}

Volume *pool_base_open(const BaseIdentity *base, gpointer data, GError **error)
{
	PoolBases *bases = data;
	g_autoptr(VolumeName) name = NULL;
	Volume *volume;

	if (bases->depth >= VOLUME_BASES_MAX) {
		error_set(error, STORAGEOS_ERROR_INVALID,
			  "it has more than %u bases below it; flatten one of the clones between",
			  VOLUME_BASES_MAX);
		return NULL;
	}
	name = pool_base_find(bases->config, base, error);
	if (!name)
		return NULL;
	volume = base_open_at(base, name, bases, error);
	if (!volume)
		g_prefix_error(error, "its base '%s': ", base->name);
	return volume;
}

/* ---- clones */

gboolean pool_clone_base(const Config *config, const VolumeName *name, BaseIdentity *ret_base,
			 char ret_uuid[UUID_TEXT])
{
	g_autofree char *path =
		pool_is_ceph(config, name) ? NULL : pool_volume_path(config, name, NULL);
	g_autoptr(Backing) backing = path ? backing_open(path, BACKING_OPEN_READ_ONLY, NULL) : NULL;
	SuperblockPair pair;

	if (!backing || !volume_find_base(backing, ret_base) ||
	    !superblock_load(backing, &pair, NULL))
		return FALSE;
	uuid_format(pair.current.uuid, ret_uuid);
	return TRUE;
}

/* The table of a volume that is served may move while it is read. */
static GPtrArray *holds_read(Backing *backing, GError **error)
{
	GPtrArray *holds = NULL;

	for (guint i = 0; !holds && i < HOLDS_TRIES; i++) {
		g_clear_error(error);
		holds = volume_list_clone_holds(backing, error);
	}
	return holds;
}

static gboolean base_check_held(const Config *config, const BaseIdentity *base, const char *uuid,
				GError **error)
{
	g_autofree char *tag = g_strconcat(" " VOLUME_CLONE_TAG, uuid, NULL);
	g_autoptr(VolumeName) name = pool_base_find(config, base, error);
	g_autofree char *path = name ? pool_existing_path(config, name, error) : NULL;
	g_autoptr(Backing) backing =
		path ? backing_open(path, BACKING_OPEN_READ_ONLY, error) : NULL;
	g_autoptr(GPtrArray) holds = backing ? holds_read(backing, error) : NULL;

	for (guint i = 0; holds && i < holds->len; i++)
		if (g_str_has_suffix(g_ptr_array_index(holds, i), tag))
			return TRUE;
	return holds &&
	       error_set(error, STORAGEOS_ERROR_NOT_FOUND,
			 "its base '%s' is not held for it, and may be deleted (storageos snapshot "
			 "hold %s%s)",
			 base->name, base->name, tag);
}

gboolean pool_check_base(const Config *config, const VolumeName *name, GError **error)
{
	PoolBases bases = {config, 0};
	BaseIdentity base;
	char uuid[UUID_TEXT];
	gboolean good;
	Volume *snapshot;

	if (!pool_clone_base(config, name, &base, uuid))
		return TRUE;
	snapshot = pool_base_open(&base, &bases, error);
	good = snapshot && volume_base_fits(snapshot, &base, name->name, error) &&
	       base_check_held(config, &base, uuid, error);
	volume_close(snapshot, NULL);
	return good;
}

static void clone_describe(const Config *config, const char *hold, GString *text)
{
	const char *tag = strchr(hold, ' ') + 1;
	g_autofree char *snapshot = g_strndup(hold, (gsize)(tag - hold) - 1);
	g_autofree char *clone = pool_clone_find(config, tag + strlen(VOLUME_CLONE_TAG));

	g_string_append_printf(text, "%s'%s' by %s", text->len ? ", " : "", snapshot,
			       clone ? clone : tag);
}

gboolean pool_check_no_clones(const Config *config, const VolumeName *name, Backing *backing,
			      GError **error)
{
	g_autoptr(GError) problem = NULL;
	g_autoptr(GPtrArray) holds = volume_list_clone_holds(backing, &problem);
	g_autoptr(GString) text = g_string_new(NULL);
	g_autofree char *volume = volume_name_format(name);

	if (!holds && g_error_matches(problem, STORAGEOS_ERROR, STORAGEOS_ERROR_IO)) {
		g_propagate_error(error, g_steal_pointer(&problem));
		return FALSE;
	}

	for (guint i = 0; holds && i < holds->len; i++)
		clone_describe(config, g_ptr_array_index(holds, i), text);
	return !text->len ||
	       error_set(error, STORAGEOS_ERROR_BUSY,
			 "linked clones need its snapshots: %s (storageos flatten CLONE, or delete "
			 "them; of a clone-UUID that is gone: storageos snapshot release "
			 "%s@SNAPSHOT clone-UUID)",
			 text->str, volume);
}

typedef struct {
	const VolumeName *name; /* of one volume */
	const guint8 *uuid;	/* which another may have, too */
} Twin;

static gboolean visit_twin(const VolumeName *name, const Superblock *sb, gpointer data)
{
	const Twin *twin = data;

	return !memcmp(sb->uuid, twin->uuid, sizeof sb->uuid) &&
	       (g_strcmp0(name->pool, twin->name->pool) || strcmp(name->name, twin->name->name));
}

gboolean pool_check_uuid_unneeded(const Config *config, const VolumeName *name, GError **error)
{
	g_autofree char *path = pool_existing_path(config, name, error);
	g_autoptr(Backing) backing =
		path ? backing_open(path, BACKING_OPEN_READ_ONLY, error) : NULL;
	SuperblockPair pair;
	Twin twin = {name, pair.current.uuid};

	if (!backing || !superblock_load(backing, &pair, error))
		return FALSE;
	if (pair.current.incompatible & FORMAT_INCOMPATIBLE_BASE)
		return error_set(
			error, STORAGEOS_ERROR_BUSY,
			"it is a linked clone, and its base knows it by its UUID (storageos "
			"flatten)");
	return pools_visit(config, visit_twin, &twin) ||
	       pool_check_no_clones(config, name, backing, error);
}
