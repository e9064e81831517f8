/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UUID and write cache, and what users keep with the volume.
 */
#include "common/engine/volume-properties.h"
#include "common/engine/volume-private.h"
#include "common/engine/volume-reserve.h"

#include <string.h>

typedef void (*PropertySet)(Engine *engine, gpointer value);

/* Has the checkpoint thread set the property in the superblock that is written next. */
static gboolean property_set(Volume *volume, PropertySet set, gpointer value, const char *what,
			     GError **error)
{
	int r = volume_check_writable(volume);

	if (!volume_check_thin(volume, error))
		return FALSE;
	if (r)
		return error_set_errno(error, r, "%s: change %s", volume->engine.name, what);
	checkpointer_call(volume->checkpointer, set, value);
	return TRUE;
}

gboolean volume_fail_later(Volume *volume, int r, const char *done, GError **error)
{
	return error_set_errno(
		error, r, "%s: %s, but %s", volume->engine.name, done,
		engine_has_failed(&volume->engine)
			? "perhaps not durably, which shows when the volume is opened again"
			: "not durably before the next checkpoint that succeeds");
}

gboolean volume_make_change_durable(Volume *volume, const char *what, GError **error)
{
	int r = checkpointer_run(volume->checkpointer);
	char done[VOLUME_SNAPSHOT_NAME_MAX + 64];

	if (!r)
		return TRUE;
	g_snprintf(done, sizeof done, "%s is changed", what);
	return volume_fail_later(volume, r, done, error);
}

static void set_uuid(Engine *engine, gpointer uuid)
{
	memcpy(engine->superblock.current.uuid, uuid, 16);
}

gboolean volume_renew_uuid(Volume *volume, GError **error)
{
	guint8 uuid[16];

	if (!volume_random_uuid(uuid, error) ||
	    !property_set(volume, set_uuid, uuid, "the UUID", error))
		return FALSE;
	memcpy(volume->uuid, uuid, sizeof uuid);
	return volume_make_change_durable(volume, "the UUID", error);
}

static void set_write_through(Engine *engine, gpointer write_through)
{
	guint64 *features = &engine->superblock.current.ro_compatible;

	*features &= ~FORMAT_RO_WRITE_THROUGH;
	if (*(const gboolean *)write_through)
		*features |= FORMAT_RO_WRITE_THROUGH;
}

gboolean volume_set_write_through(Volume *volume, gboolean write_through, GError **error)
{
	if (!property_set(volume, set_write_through, &write_through, "the write cache", error))
		return FALSE;
	volume->write_through = write_through;
	return volume_make_change_durable(volume, "the write cache", error);
}

gboolean volume_is_write_through(const Volume *volume)
{
	return volume->write_through;
}

gboolean volume_is_durable(const Volume *volume)
{
	return volume->ops->direct && volume->engine.backing->ops->durable;
}

/* ---- what users keep */

typedef struct {
	Volume *volume;
	const Properties *next;
} Changing;

static void change_properties(Engine *engine, gpointer data)
{
	const Changing *changing = data;
	Volume *volume = changing->volume;
	Superblock *sb = &engine->superblock.current;

	sb->properties = *changing->next;
	sb->compatible &= ~FORMAT_COMPATIBLE_PROPERTIES;
	if (*sb->properties.text)
		sb->compatible |= FORMAT_COMPATIBLE_PROPERTIES;
	volume_take_properties(volume, &sb->properties);
}

/* A larger reserve is there before the property says so, a smaller one given up afterwards: after a
 * crash in between there is more space than asked for, which the next open gives back. */
static gboolean set_locked(Volume *volume, const Properties *next, const VolumeReserveWatch *watch,
			   GError **error)
{
	guint64 size = volume_size(volume);
	Changing changing = {.volume = volume, .next = next};
	Properties before;

	volume_get_properties(volume, &before);
	if (volume_reserve_bytes(next, size) > volume_reserve_bytes(&before, size) &&
	    !volume_reserve_change(volume, next, size, watch, error))
		return FALSE;
	checkpointer_call(volume->checkpointer, change_properties, &changing);
	return volume_make_change_durable(volume, "the set of properties", error) &&
	       volume_reserve_change(volume, next, size, NULL, error);
}

static gboolean set_thin(Volume *volume, const Property *changes, guint n,
			 const VolumeReserveWatch *watch, GError **error)
{
	int r = volume_check_writable(volume);
	Properties next;

	if (r)
		return error_set_errno(error, r, "%s: change the properties", volume->engine.name);
	volume_get_properties(volume, &next);
	for (guint i = 0; i < n; i++)
		if (!properties_change(&next, &changes[i], error))
			return FALSE;
	return set_locked(volume, &next, watch, error);
}

gboolean thin_set_properties(Volume *volume, const Property *changes, guint n, GError **error)
{
	return set_thin(volume, changes, n, NULL, error);
}

gboolean volume_set_properties_watched(Volume *volume, const Property *changes, guint n,
				       const VolumeReserveWatch *watch, GError **error)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&volume->setting_lock);

	return volume_is_direct(volume) ? volume->ops->set_properties(volume, changes, n, error)
					: set_thin(volume, changes, n, watch, error);
}

gboolean volume_set_properties(Volume *volume, const Property *changes, guint n, GError **error)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&volume->setting_lock);

	return volume->ops->set_properties(volume, changes, n, error);
}

void volume_take_properties(Volume *volume, const Properties *properties)
{
	g_mutex_lock(&volume->properties_lock);
	volume->properties = *properties;
	g_mutex_unlock(&volume->properties_lock);
}

void volume_get_properties(Volume *volume, Properties *ret_properties)
{
	g_mutex_lock(&volume->properties_lock);
	*ret_properties = volume->properties;
	g_mutex_unlock(&volume->properties_lock);
}
