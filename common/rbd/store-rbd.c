/* SPDX-License-Identifier: Apache-2.0 */
#include "common/rbd/store-rbd.h"

#include <errno.h>
#include <string.h>

#include "common/base/bounds.h"
#include "common/base/error.h"
#include "common/base/json.h"
#include "common/rbd/image.h"
#include "common/rbd/metadata.h"

#define OBJECT_ORDER 22 /* objects of 4 MiB */
#define FEATURES (RBD_FEATURE_LAYERING | RBD_FEATURE_EXCLUSIVE_LOCK)
#define LIST_TRIES 10 /* images may come while they are listed */

/* ---- the connection */

typedef struct {
	ClusterPlace place;
	Cluster cluster;
	char *name; /* for messages */
} Store;

static void store_clear(Store *store)
{
	cluster_disconnect(&store->cluster);
	cluster_place_clear(&store->place);
	g_free(store->name);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Store, store_clear)

static gboolean check_space(Store *store, GError **error)
{
	bool exists = TRUE;
	int r = 0;

	if (store->place.space)
		r = rbd_namespace_exists(store->cluster.io, store->place.space, &exists);
	if (r && r != -ENOENT)
		return error_set_errno(error, r, "look for the namespace '%s'", store->place.space);
	return (!r && exists) || error_set(error, STORAGEOS_ERROR_NOT_FOUND,
					   "there is no such namespace (rbd namespace create %s/%s "
					   "makes it)",
					   store->place.pool, store->place.space);
}

/* What is cleared whatever the result. */
static gboolean store_open(Store *store, const char *text, GError **error)
{
	if (!cluster_place_parse_store(text, &store->place, error))
		return FALSE;
	store->name = cluster_place_name(&store->place);
	if (cluster_connect(&store->cluster, &store->place, CLUSTER_FOR_COMMANDS, error) &&
	    check_space(store, error))
		return TRUE;
	g_prefix_error(error, "%s: ", store->name);
	return FALSE;
}

static gboolean fail(const Store *store, const char *name, int r, const char *what, GError **error)
{
	if (r == -ETIMEDOUT)
		return error_set(
			error, STORAGEOS_ERROR_IO,
			"%s/%s: %s: Ceph does not answer (see: ceph -s); it may still do so",
			store->name, name, what);
	return error_set_errno(error, r, "%s/%s: %s", store->name, name, what);
}

/* ---- the marker */

static char *store_read_marker(const char *text, GError **error)
{
	g_auto(Store) store = {0};
	char *marker;

	if (!store_open(&store, text, error))
		return NULL;
	marker = cluster_read_marker(&store.cluster, error);
	if (!marker)
		g_prefix_error(error, "%s: ", store.name);
	return marker;
}

static gboolean store_write_marker(const char *text, const char *marker, GError **error)
{
	g_auto(Store) store = {0};
	rados_write_op_t op;
	int r;

	if (!store_open(&store, text, error))
		return FALSE;
	op = rados_create_write_op();
	rados_write_op_create(op, LIBRADOS_CREATE_EXCLUSIVE, NULL);
	rados_write_op_write_full(op, marker, strlen(marker));
	r = rados_write_op_operate(op, store.cluster.io, CLUSTER_MARKER, NULL, 0);
	rados_release_write_op(op);
	if (r == -EEXIST)
		return error_set(error, STORAGEOS_ERROR_EXISTS, "%s is a pool already", store.name);
	return !r || fail(&store, CLUSTER_MARKER, r, "write the marker", error);
}

static gboolean store_remove_marker(const char *text, GError **error)
{
	g_auto(Store) store = {0};
	int r;

	if (!store_open(&store, text, error))
		return FALSE;
	r = rados_remove(store.cluster.io, CLUSTER_MARKER);
	return !r || r == -ENOENT || fail(&store, CLUSTER_MARKER, r, "remove the marker", error);
}

/* ---- images */

static int list_images(rados_ioctx_t io, rbd_image_spec_t **ret_images, size_t *ret_n)
{
	size_t n = 64;
	int r = -ERANGE;

	for (guint i = 0; i < LIST_TRIES && r == -ERANGE; i++) {
		rbd_image_spec_t *images = g_try_new0(rbd_image_spec_t, n);

		if (!images)
			return -ENOMEM;
		r = rbd_list2(io, images, &n);
		if (r >= 0) {
			*ret_images = images;
			*ret_n = n;
			return 0;
		}
		g_free(images);
	}
	return r;
}

static GPtrArray *store_list(const char *text, GError **error)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	g_auto(Store) store = {0};
	rbd_image_spec_t *images;
	size_t n;
	int r;

	if (!store_open(&store, text, error))
		return NULL;
	r = list_images(store.cluster.io, &images, &n);
	if (r) {
		error_set_errno(error, r, "%s: list the images", store.name);
		return NULL;
	}
	for (size_t i = 0; i < n; i++)
		g_ptr_array_add(names, g_strdup(images[i].name));
	rbd_image_spec_list_cleanup(images, n);
	g_free(images);
	return g_steal_pointer(&names);
}

/* The UUID of the image, and the name of an object of it. */
static int identify(const Store *store, const char *name, guint8 *ret_uuid,
		    char *(*name_object)(rbd_image_t image, int *ret_error), char **ret_object)
{
	rbd_image_t image;
	int r = rbd_open_read_only(store->cluster.io, name, &image, NULL);

	if (r)
		return r;
	image_uuid(&store->cluster, image, ret_uuid);
	*ret_object = name_object(image, &r);
	rbd_close(image);
	return r;
}

static gboolean store_create(const char *text, const char *name, guint64 size,
			     const char *properties, guint8 *ret_uuid, GError **error)
{
	g_autofree char *header = NULL;
	int order = OBJECT_ORDER, r;
	g_auto(Store) store = {0};

	if (!store_open(&store, text, error))
		return FALSE;
	r = rbd_create2(store.cluster.io, name, size, FEATURES, &order);
	if (r == -EEXIST)
		return error_set(error, STORAGEOS_ERROR_EXISTS, "%s/%s is there already",
				 store.name, name);
	if (r)
		return fail(&store, name, r, "create the image", error);
	r = identify(&store, name, ret_uuid, image_header_name, &header);
	if (!r && *properties)
		r = metadata_write(&store.cluster, header, "", properties);
	if (r)
		rbd_remove(store.cluster.io, name);
	return !r || fail(&store, name, r, "prepare the new image", error);
}

static gboolean fail_to_remove(const Store *store, const char *name, int r, GError **error)
{
	switch (r) {
	case -ENOENT:
		return error_set(error, STORAGEOS_ERROR_NOT_FOUND, "%s/%s: there is no such image",
				 store->name, name);
	case -EBUSY:
	case -EROFS:
		return error_set(error, STORAGEOS_ERROR_BUSY,
				 "%s/%s: in use by a client of Ceph, or by one that died in the "
				 "last 30 s (see: rbd status)",
				 store->name, name);
	case -ENOTEMPTY:
		return error_set(error, STORAGEOS_ERROR_EXISTS,
				 "%s/%s: it has snapshots (see: rbd snap ls, rbd snap purge)",
				 store->name, name);
	default:
		return fail(store, name, r, "remove the image", error);
	}
}

static gboolean store_remove(const char *text, const char *name, guint8 *ret_uuid, GError **error)
{
	g_autofree char *record = NULL;
	g_auto(Store) store = {0};
	int r;

	if (!store_open(&store, text, error))
		return FALSE;
	r = identify(&store, name, ret_uuid, image_record_name, &record);
	if (!r)
		r = rbd_remove(store.cluster.io, name);
	if (r)
		return fail_to_remove(&store, name, r, error);
	rados_remove(store.cluster.io, record);
	return TRUE;
}

/* ---- space */

/* What `ceph df detail` says of the pool; NULL: nothing. */
static Json *pool_stats(Json *df, const char *pool)
{
	Json *pools;

	if (!df || !json_object_is_type(df, json_type_object) ||
	    !json_object_object_get_ex(df, "pools", &pools) ||
	    !json_object_is_type(pools, json_type_array))
		return NULL;
	for (size_t i = 0; i < json_object_array_length(pools); i++) {
		Json *at = json_object_array_get_idx(pools, i);

		if (!g_strcmp0(json_get_text(at, "name"), pool))
			return json_get_typed(at, "stats", json_type_object);
	}
	return NULL;
}

static Json *ask_df(const Store *store, GError **error)
{
	const char *command = "{\"prefix\":\"df\",\"detail\":\"detail\",\"format\":\"json\"}";
	char *answer = NULL, *status = NULL;
	g_autofree char *text = NULL;
	size_t length = 0;
	int r = rados_mon_command(store->cluster.rados, &command, 1, NULL, 0, &answer, &length,
				  &status, NULL);

	if (!r)
		text = g_strndup(answer, length);
	rados_buffer_free(answer);
	rados_buffer_free(status);
	if (r)
		error_set_errno(error, r, "%s: ask for its space", store->name);
	return r ? NULL : json_tokener_parse(text);
}

static gboolean store_space(const char *text, StoreSpace *ret_space, GError **error)
{
	g_auto(Store) store = {0};
	guint64 stored, available, quota;
	g_autoptr(Json) df = NULL;
	Json *stats;

	if (!store_open(&store, text, error))
		return FALSE;
	df = ask_df(&store, error);
	stats = pool_stats(df, store.place.pool);
	if (!df)
		return FALSE;
	if (!stats)
		return error_set(error, STORAGEOS_ERROR_IO, "%s: Ceph tells no space of it",
				 store.name);
	stored = (guint64)json_get_number(stats, "stored");
	available = (guint64)json_get_number(stats, "max_avail");
	quota = (guint64)json_get_number(stats, "quota_bytes");
	if (quota)
		available = min_u64(available, quota > stored ? quota - stored : 0);
	*ret_space = (StoreSpace){stored + available, available};
	return TRUE;
}

const StoreOps store_rbd = {
	.read_marker = store_read_marker,
	.write_marker = store_write_marker,
	.remove_marker = store_remove_marker,
	.list = store_list,
	.create = store_create,
	.remove = store_remove,
	.space = store_space,
};
