/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection to an NBD server on a Unix socket, as qemu-nbd is one: the fixed newstyle handshake,
 * simple replies, and structured ones for what is allocated (NBD: doc/proto.md).  The server is a
 * program that we have started; what it sends is checked all the same.
 *
 * Threading: one thread at a time for a connection.  Calls sleep as long as the server does, and
 * fail once it has ended.
 */
#pragma once

#include <glib.h>

typedef struct NbdClient NbdClient;

typedef enum {
	NBD_CLIENT_DATA,   /* to read and write */
	NBD_CLIENT_STATUS, /* to ask what is allocated */
} NbdClientUse;

/* Connects to the server's only export.  NOT_FOUND: nobody listens (yet). */
NbdClient *nbd_client_connect(const char *socket, NbdClientUse use, GError **error);

/* Says good-bye and closes the connection.  NULL is allowed. */
void nbd_client_free(NbdClient *client);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(NbdClient, nbd_client_free)

guint64 nbd_client_size(const NbdClient *client); /* bytes */

/* At most 32 MiB.  IO, NO_SPACE, and what else the server says. */
gboolean nbd_client_read(NbdClient *client, void *buffer, guint32 length, guint64 offset,
			 GError **error);
gboolean nbd_client_write(NbdClient *client, const void *buffer, guint32 length, guint64 offset,
			  GError **error);
gboolean nbd_client_flush(NbdClient *client, GError **error);

/* What is at `offset`, which is within the size, and for how many bytes from there, at least.
 * NBD_CLIENT_STATUS only. */
typedef struct {
	gboolean hole, zero; /* nothing is allocated; it reads as zeros */
	guint64 length;
} NbdExtent;
gboolean nbd_client_extent(NbdClient *client, guint64 offset, NbdExtent *ret_extent,
			   GError **error);
