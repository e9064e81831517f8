/* SPDX-License-Identifier: Apache-2.0 */
#include "common/service/pool-store.h"

#include <string.h>

#include "common/backing/module.h"
#include "common/base/autofd.h"
#include "common/base/error.h"
#include "common/base/names.h"
#include "common/service/config-edit.h"

#define MODULE "rbd"

/* "?conf=FILE&id=ID&marker=UUID", as far as the pool has them; or "". */
static char *store_options(const ConfigPool *pool)
{
	const struct {
		const char *key, *value;
	} options[] = {{"conf", pool->ceph_conf}, {"id", pool->ceph_id}, {"marker", pool->uuid}};
	GString *text = g_string_new(NULL);

	for (guint i = 0; i < G_N_ELEMENTS(options); i++)
		if (options[i].value)
			g_string_append_printf(text, "%c%s=%s", text->len ? '&' : '?',
					       options[i].key, options[i].value);
	return g_string_free(text, FALSE);
}

/* As store.h has it. */
static char *store_text(const ConfigPool *pool)
{
	g_autofree char *options = store_options(pool);

	return g_strconcat(pool->path + strlen(CONFIG_CEPH), options, NULL);
}

char *pool_store_uri(const ConfigPool *pool, const char *volume)
{
	g_autofree char *options = store_options(pool);

	return g_strconcat(pool->path, "/", volume, options, NULL);
}

char *pool_store_version(GError **error)
{
	const Module *module = module_get(MODULE, error);

	return module ? g_strdup(module->version) : NULL;
}

static const StoreOps *store_ops(const ConfigPool *pool, GError **error)
{
	const Module *module = module_get(MODULE, error);

	if (!module)
		g_prefix_error(error, "pool '%s' ", pool->name);
	return module ? module->store : NULL;
}

static void prefix_error(const ConfigPool *pool, GError **error)
{
	g_prefix_error(error, "pool '%s': ", pool->name);
}

gboolean pool_store_check(const ConfigPool *pool, GError **error)
{
	if (!store_ops(pool, error))
		return FALSE;
	return pool->uuid ||
	       error_set(error, STORAGEOS_ERROR_INVALID,
			 "pool '%s': the configuration has no UUID for it; to add it: storageos "
			 "pool create %s %s",
			 pool->name, pool->name, pool->path);
}

/* The text of the store, if it can be asked; *ret_ops to ask it with. */
static char *store_reach(const ConfigPool *pool, const StoreOps **ret_ops, GError **error)
{
	if (!pool_store_check(pool, error))
		return NULL;
	*ret_ops = store_ops(pool, error);
	return *ret_ops ? store_text(pool) : NULL;
}

gboolean pool_store_ask(const ConfigPool *pool, GError **error)
{
	const StoreOps *ops;
	g_autofree char *store = store_reach(pool, &ops, error);
	g_autofree char *text = store ? ops->read_marker(store, error) : NULL;

	if (store && !text)
		prefix_error(pool, error);
	return text != NULL;
}

GPtrArray *pool_store_list(const ConfigPool *pool, GError **error)
{
	const StoreOps *ops;
	g_autofree char *store = store_reach(pool, &ops, error);
	GPtrArray *names = store ? ops->list(store, error) : NULL;

	if (store && !names)
		prefix_error(pool, error);
	return names;
}

gboolean pool_store_space(const ConfigPool *pool, guint64 *ret_whole, guint64 *ret_available,
			  GError **error)
{
	const StoreOps *ops;
	g_autofree char *store = store_reach(pool, &ops, error);
	StoreSpace space;

	if (!store)
		return FALSE;
	if (!ops->space(store, &space, error)) {
		prefix_error(pool, error);
		return FALSE;
	}
	*ret_whole = space.whole;
	*ret_available = space.available;
	return TRUE;
}

gboolean pool_store_create(const ConfigPool *pool, const char *volume,
			   const VolumeParameters *parameters, char ret_uuid[UUID_TEXT],
			   GError **error)
{
	const StoreOps *ops;
	g_autofree char *store = NULL;
	const char *properties = "";
	guint8 uuid[16];

	if (parameters->logical_block_size == 4096)
		return error_set(error, STORAGEOS_ERROR_UNSUPPORTED,
				 "an image of Ceph has blocks of 512 bytes");
	store = store_reach(pool, &ops, error);
	if (parameters->properties)
		properties = parameters->properties->text;
	if (!store || !ops->create(store, volume, parameters->size, properties, uuid, error))
		return FALSE;
	uuid_format(uuid, ret_uuid);
	return TRUE;
}

gboolean pool_store_delete(const ConfigPool *pool, const char *volume, char ret_uuid[UUID_TEXT],
			   GError **error)
{
	const StoreOps *ops;
	g_autofree char *store = store_reach(pool, &ops, error);
	guint8 uuid[16];

	if (!store || !ops->remove(store, volume, uuid, error))
		return FALSE;
	uuid_format(uuid, ret_uuid);
	return TRUE;
}

/* ---- making a pool */

static gboolean is_apart(const Config *config, const ConfigPool *wanted, GError **error)
{
	for (guint i = 0; i < config->pools->len; i++) {
		const ConfigPool *other = g_ptr_array_index(config->pools, i);
		gboolean same = !strcmp(other->path, wanted->path) &&
				!g_strcmp0(other->ceph_conf, wanted->ceph_conf);

		if (strcmp(other->name, wanted->name) != 0 && other->ceph && same)
			return error_set(error, STORAGEOS_ERROR_EXISTS,
					 "%s is the pool '%s' already", wanted->path, other->name);
		if (!strcmp(other->name, wanted->name) && other->listed && !same)
			return error_set(
				error, STORAGEOS_ERROR_EXISTS,
				"it is at %s already (%s); to have it elsewhere: storageos "
				"pool delete %s, then this again",
				other->path, config->file, other->name);
	}
	return TRUE;
}

/* The marker, which is written if there is none; *ret_made: it was. */
static PoolMarker *marker_ensure(const ConfigPool *wanted, const StoreOps *ops, const char *store,
				 gboolean *ret_made, GError **error)
{
	g_autofree char *text = pool_marker_text(wanted->name), *found = NULL;
	g_autoptr(GError) local = NULL;

	*ret_made = ops->write_marker(store, text, &local);
	if (!*ret_made && !g_error_matches(local, STORAGEOS_ERROR, STORAGEOS_ERROR_EXISTS)) {
		g_propagate_error(error, g_steal_pointer(&local));
		return NULL;
	}
	found = ops->read_marker(store, error);
	return found ? pool_marker_parse(found, wanted->path, error) : NULL;
}

static gboolean marker_fits(const Config *config, const ConfigPool *wanted,
			    const PoolMarker *marker, gboolean adopt, GError **error)
{
	for (guint i = 0; i < config->pools->len; i++) {
		const ConfigPool *other = g_ptr_array_index(config->pools, i);
		gboolean same = !strcmp(other->name, wanted->name);

		if (!same && !g_strcmp0(other->uuid, marker->uuid))
			return error_set(error, STORAGEOS_ERROR_EXISTS,
					 "it has the UUID of the pool '%s' (%s)", other->name,
					 other->path);
		if (same && other->uuid && strcmp(other->uuid, marker->uuid) != 0)
			return error_set(error, STORAGEOS_ERROR_NOT_FOUND,
					 "%s has the pool with UUID %s, the configuration wants %s "
					 "(is it the same cluster? if it is to be this one: "
					 "storageos pool delete %s, then this again)",
					 wanted->path, marker->uuid, other->uuid, wanted->name);
	}
	return adopt || !strcmp(marker->name, wanted->name) ||
	       error_set(error, STORAGEOS_ERROR_EXISTS,
			 "%s belongs to the pool '%s'; to have it here as '%s': storageos pool "
			 "import %s --name %s",
			 wanted->path, marker->name, wanted->name, wanted->path, wanted->name);
}

PoolMarker *pool_store_marker(const ConfigPool *wanted, GError **error)
{
	const StoreOps *ops = store_ops(wanted, error);
	g_autofree char *store = ops ? store_text(wanted) : NULL;
	g_autofree char *text = store ? ops->read_marker(store, error) : NULL;

	return text ? pool_marker_parse(text, wanted->path, error) : NULL;
}

gboolean pool_store_check_adopt(const Config *config, const ConfigPool *wanted, GError **error)
{
	const PoolMarker marker = {.uuid = wanted->uuid, .name = wanted->name};

	return is_apart(config, wanted, error) && marker_fits(config, wanted, &marker, TRUE, error);
}

static gboolean enter(const Config *config, const ConfigPool *wanted, gboolean adopt,
		      GError **error)
{
	const StoreOps *ops = store_ops(wanted, error);
	g_autofree char *store = ops ? store_text(wanted) : NULL;
	g_autoptr(PoolMarker) marker = NULL;
	ConfigPool entry = *wanted;
	gboolean made = FALSE, done;

	if (store)
		marker = marker_ensure(wanted, ops, store, &made, error);
	entry.uuid = marker ? marker->uuid : NULL;
	done = marker && marker_fits(config, wanted, marker, adopt, error) &&
	       config_add_pool(config, &entry, error);
	if (!done && made)
		ops->remove_marker(store, NULL);
	return done;
}

gboolean pool_store_make(const Config *config, const ConfigPool *wanted, gboolean adopt,
			 GError **error)
{
	g_autoptr(Config) now = NULL;

	if (!is_apart(config, wanted, error))
		return FALSE;
	autofd lock = config_lock(config, error);
	now = lock < 0 ? NULL : config_load_again(config, error);
	return now && is_apart(now, wanted, error) && enter(now, wanted, adopt, error);
}
