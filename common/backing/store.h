/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stores: places where backings of one kind lie beside each other under names, which only a module
 * can reach (module.h): a pool of Ceph, or a namespace in it.  A directory is none: the file system
 * does all of this.
 *
 * A store is named by a text, its module's URI without the name of a backing:
 *
 *     POOL[/NAMESPACE][?conf=FILE][&id=ID][&marker=UUID]
 *
 * Its marker is JSON that whoever made the store a pool has put there (pool-marker.h).  With
 * `marker=UUID` every function but read_marker() and write_marker(), and the opening of a backing,
 * fails with NOT_FOUND unless the store's marker has that UUID: another cluster, or a pool that was
 * made anew, is not the one that was meant.
 *
 * Each function connects, does one thing, and ends the connection.  It takes 10 s at most until
 * there is a connection, and gives up a request after 30 s: then it may have been carried out.
 * Each may be called from any thread, but not while the process fork()s, and whoever forks
 * afterwards must exec(), or not use the module in the child.
 *
 * Errors, unless said otherwise: NOT_FOUND (no such pool, namespace or marker), INVALID (the text,
 * the configuration or the user), IO (Ceph does not answer, or refuses).
 */
#pragma once

#include <glib.h>

typedef struct {
	guint64 whole;	   /* bytes: what is stored there, and what is available */
	guint64 available; /* bytes that clients can still store, at the pool's redundancy */
} StoreSpace;

typedef struct {
	/* The marker's text.  NOT_FOUND: there is none. */
	char *(*read_marker)(const char *store, GError **error);

	/* EXISTS: there is one already, which stays. */
	gboolean (*write_marker)(const char *store, const char *text, GError **error);
	gboolean (*remove_marker)(const char *store, GError **error);

	/* The names of all backings there, in no order. */
	GPtrArray *(*list)(const char *store, GError **error);

	/* Makes a backing of zeros, with `properties` ("": none) as BackingOps.read_properties()
	 * has them; `ret_uuid`, 16 bytes, is what its identity() will be.  EXISTS: there is one of
	 * that name.  On failure none is left, if Ceph answers. */
	gboolean (*create)(const char *store, const char *name, guint64 size,
			   const char *properties, guint8 *ret_uuid, GError **error);

	/* Removes a backing that nobody has open (else BUSY) and that nothing depends on (else
	 * EXISTS, such as snapshots).  *ret_uuid: what its identity() was. */
	gboolean (*remove)(const char *store, const char *name, guint8 *ret_uuid, GError **error);

	gboolean (*space)(const char *store, StoreSpace *ret_space, GError **error);
} StoreOps;
