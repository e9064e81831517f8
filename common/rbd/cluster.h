/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection to a cluster of Ceph, and the place that a URI names there.
 */
#pragma once

#include <glib.h>
#include <rados/librados.h>

typedef struct {
	char *pool;
	char *space;  /* the namespace; NULL: none */
	char *image;  /* NULL: of a store (store.h) */
	char *conf;   /* absolute path; NULL: Ceph's own search order */
	char *id;     /* the user, without "client."; NULL: admin */
	char *marker; /* the UUID that the store's marker must have; NULL: any, or no marker */
} ClusterPlace;

/* Parses POOL[/NAMESPACE]/IMAGE[?conf=FILE][&id=ID][&marker=UUID]; _store: without /IMAGE.
 * INVALID: what is wrong with it. */
gboolean cluster_place_parse(const char *text, ClusterPlace *ret_place, GError **error);
gboolean cluster_place_parse_store(const char *text, ClusterPlace *ret_place, GError **error);
void cluster_place_clear(ClusterPlace *place);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ClusterPlace, cluster_place_clear)

/* "rbd:POOL[/NAMESPACE][/IMAGE]", for messages.  Free the result. */
char *cluster_place_name(const ClusterPlace *place);

typedef struct {
	rados_t rados;
	rados_ioctx_t io; /* of pool and namespace */
} Cluster;

typedef enum {
	CLUSTER_FOR_DATA,     /* no request has a time limit */
	CLUSTER_FOR_COMMANDS, /* each ends with -ETIMEDOUT after 30 s */
} ClusterUse;

/* Connects, within 10 s, and looks at the marker, if one is asked for.  All threads of the
 * libraries have all signals blocked.  NOT_FOUND (no such pool, another marker), INVALID (the
 * configuration or the user), IO. */
gboolean cluster_connect(Cluster *cluster, const ClusterPlace *place, ClusterUse use,
			 GError **error);
void cluster_disconnect(Cluster *cluster); /* zeros are allowed */
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Cluster, cluster_disconnect)

/* The text of the marker, and where it is.  NULL with NOT_FOUND (there is none) or IO. */
#define CLUSTER_MARKER "storageos-pool"
char *cluster_read_marker(const Cluster *cluster, GError **error);
