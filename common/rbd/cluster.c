/* SPDX-License-Identifier: Apache-2.0 */
#include "common/rbd/cluster.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/json.h"

#define CONNECT_SECONDS "8" /* with what else there is to it, 10 */
#define REQUEST_SECONDS "30"
#define MARKER_MAX 4096

/* ---- the place */

static gboolean refuse(const char *text, const char *why, GError **error)
{
	return error_set(error, STORAGEOS_ERROR_INVALID,
			 "rbd:%s: %s (rbd:POOL[/NAMESPACE]/IMAGE[?conf=FILE][&id=ID])", text, why);
}

static gboolean is_name(const char *name)
{
	return *name && !strpbrk(name, "/@?&");
}

static gboolean parse_option(ClusterPlace *place, const char *option)
{
	if (g_str_has_prefix(option, "conf=") && g_path_is_absolute(option + 5) && !place->conf)
		place->conf = g_strdup(option + 5);
	else if (g_str_has_prefix(option, "id=") && is_name(option + 3) && !place->id)
		place->id = g_strdup(option + 3);
	else if (g_str_has_prefix(option, "marker=") && is_name(option + 7) && !place->marker)
		place->marker = g_strdup(option + 7);
	else
		return FALSE;
	return TRUE;
}

/* `more` names follow that of the pool, or one less. */
static gboolean parse(const char *text, guint more, ClusterPlace *place, GError **error)
{
	const char *options = strchr(text, '?');
	g_autofree char *path = options ? g_strndup(text, (gsize)(options - text)) : g_strdup(text);
	g_auto(GStrv) names = g_strsplit(path, "/", 4);
	g_auto(GStrv) given = g_strsplit(options ? options + 1 : "", "&", 5);
	guint n = g_strv_length(names);

	if (n < more || n > more + 1)
		return refuse(text, more > 1 ? "has no pool and image" : "is no pool", error);
	for (guint i = 0; i < n; i++)
		if (!is_name(names[i]))
			return refuse(text, "a name is empty, or has one of /@?&", error);
	for (guint i = 0; options && given[i]; i++)
		if (!parse_option(place, given[i]))
			return refuse(text, "an unknown or bad option", error);
	place->pool = g_strdup(names[0]);
	place->space = n > more ? g_strdup(names[1]) : NULL;
	place->image = more > 1 ? g_strdup(names[n - 1]) : NULL;
	return TRUE;
}

static gboolean parse_place(const char *text, guint more, ClusterPlace *ret_place, GError **error)
{
	ClusterPlace place = {0};

	if (!parse(text, more, &place, error)) {
		cluster_place_clear(&place);
		return FALSE;
	}
	*ret_place = place;
	return TRUE;
}

gboolean cluster_place_parse(const char *text, ClusterPlace *ret_place, GError **error)
{
	return parse_place(text, 2, ret_place, error);
}

gboolean cluster_place_parse_store(const char *text, ClusterPlace *ret_place, GError **error)
{
	return parse_place(text, 1, ret_place, error);
}

char *cluster_place_name(const ClusterPlace *place)
{
	return g_strconcat("rbd:", place->pool, place->space ? "/" : "",
			   place->space ? place->space : "", place->image ? "/" : "", place->image,
			   NULL);
}

void cluster_place_clear(ClusterPlace *place)
{
	g_free(place->pool);
	g_free(place->space);
	g_free(place->image);
	g_free(place->conf);
	g_free(place->id);
	g_free(place->marker);
	*place = (ClusterPlace){0};
}

/* ---- the connection */

static const struct {
	const char *key, *value;
} settings[] = {
	{"rbd_cache", "false"}, /* what was answered is committed */
	{"rados_mon_op_timeout", CONNECT_SECONDS},
	{"client_mount_timeout", CONNECT_SECONDS},
	{"rbd_blocklist_on_break_lock", "true"},
	{"rbd_skip_partial_discard", "false"},
	{"log_to_stderr", "false"},
	{"err_to_stderr", "false"},
};

/* What a version does not know is not said to it: names have changed (blacklist). */
static void configure(rados_t rados, ClusterUse use)
{
	for (guint i = 0; i < G_N_ELEMENTS(settings); i++)
		rados_conf_set(rados, settings[i].key, settings[i].value);
	/* See rbd.h. */
	rados_conf_set(rados, "rados_osd_op_timeout",
		       use == CLUSTER_FOR_DATA ? "0" : REQUEST_SECONDS);
}

static gboolean connect_now(rados_t rados, GError **error)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	r = rados_connect(rados);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r == -EACCES || r == -EPERM || r == -ENOENT)
		return error_set(error, STORAGEOS_ERROR_INVALID,
				 "Ceph refuses the user (see: ceph auth get client.ID, and the "
				 "keyring beside the configuration)");
	return !r || error_set_errno(error, r,
				     "Ceph does not answer within " CONNECT_SECONDS
				     " s (see: ceph -s, with the same configuration)");
}

static gboolean enter_pool(Cluster *cluster, const ClusterPlace *place, GError **error)
{
	int r = rados_ioctx_create(cluster->rados, place->pool, &cluster->io);

	if (r == -ENOENT)
		return error_set(error, STORAGEOS_ERROR_NOT_FOUND,
				 "Ceph has no pool '%s' (see: ceph osd pool ls)", place->pool);
	if (r)
		return error_set_errno(error, r, "enter Ceph's pool '%s'", place->pool);
	if (place->space)
		rados_ioctx_set_namespace(cluster->io, place->space);
	rados_set_pool_full_try(cluster->io); /* -ENOSPC instead of a wait without end */
	return TRUE;
}

char *cluster_read_marker(const Cluster *cluster, GError **error)
{
	g_autofree char *text = g_malloc0(MARKER_MAX + 1);
	int r = rados_read(cluster->io, CLUSTER_MARKER, text, MARKER_MAX, 0);

	if (r >= 0)
		return g_steal_pointer(&text);
	if (r == -ENOENT)
		error_set(error, STORAGEOS_ERROR_NOT_FOUND,
			  "there is no object '" CLUSTER_MARKER "'");
	else
		error_set_errno(error, r, "read the object '" CLUSTER_MARKER "'");
	return NULL;
}

static gboolean check_marker(const Cluster *cluster, const ClusterPlace *place, GError **error)
{
	g_autofree char *text = place->marker ? cluster_read_marker(cluster, error) : NULL;
	g_autoptr(Json) marker = text ? json_tokener_parse(text) : NULL;
	const char *uuid = marker && json_object_is_type(marker, json_type_object)
				   ? json_get_text(marker, "uuid")
				   : NULL;

	if (!place->marker)
		return TRUE;
	return text && ((uuid && !g_ascii_strcasecmp(uuid, place->marker)) ||
			error_set(error, STORAGEOS_ERROR_NOT_FOUND,
				  "it has the pool with UUID %s, the configuration wants %s (is it "
				  "the same cluster?)",
				  uuid ? uuid : "?", place->marker));
}

gboolean cluster_connect(Cluster *cluster, const ClusterPlace *place, ClusterUse use,
			 GError **error)
{
	int r = rados_create(&cluster->rados, place->id ? place->id : "admin");

	if (r)
		return error_set_errno(error, r, "begin with Ceph");
	r = rados_conf_read_file(cluster->rados, place->conf);
	if (r && place->conf)
		return error_set(error, STORAGEOS_ERROR_INVALID,
				 "%s: Ceph cannot read this configuration: %s", place->conf,
				 g_strerror(-r));
	if (r)
		return error_set(error, STORAGEOS_ERROR_INVALID,
				 "Ceph has no configuration on this machine (/etc/ceph/ceph.conf, "
				 "or --ceph-conf)");
	configure(cluster->rados, use);
	return connect_now(cluster->rados, error) && enter_pool(cluster, place, error) &&
	       check_marker(cluster, place, error);
}

void cluster_disconnect(Cluster *cluster)
{
	if (cluster->io)
		rados_ioctx_destroy(cluster->io);
	if (cluster->rados)
		rados_shutdown(cluster->rados);
	*cluster = (Cluster){0};
}
