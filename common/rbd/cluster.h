/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection to a cluster of Ceph, and the place that a URI names there.
 */
#pragma once

#include <glib.h>
#include <rados/librados.h>

typedef struct {
	char *pool;
	char *space; /* the namespace; NULL: none */
	char *image;
	char *conf; /* absolute path; NULL: Ceph's own search order */
	char *id;   /* the user, without "client."; NULL: admin */
} ClusterPlace;

/* Parses POOL[/NAMESPACE]/IMAGE[?conf=FILE][&id=ID].  INVALID: what is wrong with it. */
gboolean cluster_place_parse(const char *text, ClusterPlace *ret_place, GError **error);
void cluster_place_clear(ClusterPlace *place);

typedef struct {
	rados_t rados;
	rados_ioctx_t io; /* of pool and namespace */
} Cluster;

/* Connects, within 10 s.  All threads of the libraries have all signals blocked.  NOT_FOUND (no
 * such pool), INVALID (the configuration or the user), IO. */
gboolean cluster_connect(Cluster *cluster, const ClusterPlace *place, GError **error);
void cluster_disconnect(Cluster *cluster); /* zeros are allowed */
