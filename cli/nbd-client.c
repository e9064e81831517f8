/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/nbd-client.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/bytes.h"
#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/units.h"

#define MAGIC G_GUINT64_CONSTANT(0x4e42444d41474943) /* "NBDMAGIC" */
#define OPTION_MAGIC G_GUINT64_CONSTANT(0x49484156454f5054)
#define OPTION_REPLY_MAGIC G_GUINT64_CONSTANT(0x3e889045565a9)
#define REQUEST_MAGIC 0x25609513u
#define SIMPLE_MAGIC 0x67446698u
#define STRUCTURED_MAGIC 0x668e33efu

enum { FIXED_NEWSTYLE = 1, NO_ZEROES = 2 };
enum { OPTION_GO = 7, OPTION_STRUCTURED = 8, OPTION_CONTEXT = 10 };
enum { REPLY_ACK = 1, REPLY_INFO = 3, REPLY_CONTEXT = 4 };
#define REPLY_ERROR (1u << 31)
enum { COMMAND_READ, COMMAND_WRITE, COMMAND_DISCONNECT, COMMAND_FLUSH, COMMAND_STATUS = 7 };
enum { CHUNK_DONE = 1, CHUNK_STATUS = 5, CHUNK_ERROR = 1 << 15 };
enum { STATE_HOLE = 1, STATE_ZERO = 2 };

#define CONTEXT "base:allocation"
#define PAYLOAD_MAX ((gsize)4 << 20) /* of a reply that is not data */
#define STATUS_BYTES ((guint64)1 << 30)
#define DESCRIPTOR_SIZE 8u

static guint16 be16(const guint8 *p)
{
	return (guint16)get_be(p, 2);
}

static guint32 be32(const guint8 *p)
{
	return (guint32)get_be(p, 4);
}

static guint64 be64(const guint8 *p)
{
	return get_be(p, 8);
}

struct NbdClient {
	int fd;
	guint64 size, cookie;
	guint32 context;
	/* The extents of the last reply: from status_at on, in the payload behind `next`. */
	guint8 *payload;
	gsize length, next;
	guint64 status_at;
};

/* ---- bytes */

static gboolean bytes_send(NbdClient *client, const void *data, gsize length, GError **error)
{
	const guint8 *at = data;

	while (length) {
		ssize_t n = send(client->fd, at, length, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set_errno(error, errno, "write to the NBD server");
		at += n;
		length -= (gsize)n;
	}
	return TRUE;
}

static gboolean bytes_receive(NbdClient *client, void *data, gsize length, GError **error)
{
	guint8 *at = data;

	while (length) {
		ssize_t n = recv(client->fd, at, length, MSG_WAITALL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return error_set_errno(error, n ? errno : EPIPE,
					       "read from the NBD server");
		at += n;
		length -= (gsize)n;
	}
	return TRUE;
}

static gboolean protocol_fail(const char *what, GError **error)
{
	return error_set(error, STORAGEOS_ERROR_CORRUPT, "the NBD server's %s is not as it must be",
			 what);
}

/* The payload of a reply, in client->payload; a zero byte follows. */
static gboolean payload_receive(NbdClient *client, guint32 length, GError **error)
{
	if (length > PAYLOAD_MAX)
		return protocol_fail("reply", error);
	g_free(client->payload);
	client->next = client->length = 0;
	client->payload = g_try_malloc(length + 1u);
	if (!client->payload)
		return error_set_errno(error, ENOMEM, "read from the NBD server");
	client->payload[length] = '\0';
	client->length = length;
	return bytes_receive(client, client->payload, length, error);
}

/* ---- the handshake */

static gboolean option_send(NbdClient *client, guint32 option, const void *data, guint32 length,
			    GError **error)
{
	guint8 head[16];

	put_be(head, OPTION_MAGIC, 8);
	put_be(head + 8, option, 4);
	put_be(head + 12, length, 4);
	return bytes_send(client, head, sizeof head, error) &&
	       bytes_send(client, data, length, error);
}

/* Takes in what the reply says, until the option is acknowledged. */
static gboolean option_complete(NbdClient *client, GError **error)
{
	for (;;) {
		guint8 head[20];
		guint32 type;

		if (!bytes_receive(client, head, sizeof head, error))
			return FALSE;
		type = be32(head + 12);
		if (be64(head) != OPTION_REPLY_MAGIC)
			return protocol_fail("handshake", error);
		if (!payload_receive(client, be32(head + 16), error))
			return FALSE;
		if (type == REPLY_ACK)
			return TRUE;
		if (type & REPLY_ERROR)
			return error_set(error, STORAGEOS_ERROR_UNSUPPORTED,
					 "the NBD server refuses option %u: %s", be32(head + 8),
					 (const char *)client->payload);
		if (type == REPLY_INFO && client->length >= 12 && !be16(client->payload))
			client->size = be64(client->payload + 2);
		if (type == REPLY_CONTEXT && client->length > 4)
			client->context = be32(client->payload);
	}
}

static gboolean status_negotiate(NbdClient *client, GError **error)
{
	const gsize length = strlen(CONTEXT);
	guint8 query[12 + sizeof CONTEXT];

	put_be(query, 0, 4); /* the export "" */
	put_be(query + 4, 1, 4);
	put_be(query + 8, (guint32)length, 4);
	memcpy(query + 12, CONTEXT, length);
	return option_send(client, OPTION_STRUCTURED, NULL, 0, error) &&
	       option_complete(client, error) &&
	       option_send(client, OPTION_CONTEXT, query, (guint32)(12 + length), error) &&
	       option_complete(client, error);
}

static gboolean handshake(NbdClient *client, NbdClientUse use, GError **error)
{
	guint8 greeting[18], flags[4], go[6] = {0};

	if (!bytes_receive(client, greeting, sizeof greeting, error))
		return FALSE;
	if (be64(greeting) != MAGIC || be64(greeting + 8) != OPTION_MAGIC ||
	    !(be16(greeting + 16) & FIXED_NEWSTYLE))
		return protocol_fail("greeting", error);
	put_be(flags, FIXED_NEWSTYLE | NO_ZEROES, 4);
	return bytes_send(client, flags, sizeof flags, error) &&
	       (use == NBD_CLIENT_DATA || status_negotiate(client, error)) &&
	       option_send(client, OPTION_GO, go, sizeof go, error) &&
	       option_complete(client, error);
}

NbdClient *nbd_client_connect(const char *socket_path, NbdClientUse use, GError **error)
{
	g_autoptr(NbdClient) client = g_new0(NbdClient, 1);
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	client->fd = fd_above_stdio(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
	if (client->fd < 0) {
		error_set_errno(error, errno, "make a socket");
		return NULL;
	}
	g_strlcpy(address.sun_path, socket_path, sizeof address.sun_path);
	if (connect(client->fd, (struct sockaddr *)&address, sizeof address)) {
		error_set(error, STORAGEOS_ERROR_NOT_FOUND, "connect to %s: %s", socket_path,
			  g_strerror(errno));
		close(client->fd);
		client->fd = -1;
		return NULL;
	}
	return handshake(client, use, error) ? g_steal_pointer(&client) : NULL;
}

guint64 nbd_client_size(const NbdClient *client)
{
	return client->size;
}

/* ---- requests */

static gboolean request_send(NbdClient *client, guint16 command, guint32 length, guint64 offset,
			     GError **error)
{
	guint8 head[28];

	put_be(head, REQUEST_MAGIC, 4);
	put_be(head + 4, 0, 2);
	put_be(head + 6, command, 2);
	put_be(head + 8, ++client->cookie, 8);
	put_be(head + 16, offset, 8);
	put_be(head + 24, length, 4);
	return bytes_send(client, head, sizeof head, error);
}

static gboolean reply_fail(guint32 number, const char *what, guint64 offset, GError **error)
{
	return error_set_errno(error, (int)number, "%s at byte %" G_GUINT64_FORMAT, what, offset);
}

static gboolean reply_receive(NbdClient *client, const char *what, guint64 offset, GError **error)
{
	guint8 head[16];

	if (!bytes_receive(client, head, sizeof head, error))
		return FALSE;
	if (be32(head) != SIMPLE_MAGIC || be64(head + 8) != client->cookie)
		return protocol_fail("reply", error);
	return !be32(head + 4) || reply_fail(be32(head + 4), what, offset, error);
}

gboolean nbd_client_read(NbdClient *client, void *buffer, guint32 length, guint64 offset,
			 GError **error)
{
	return request_send(client, COMMAND_READ, length, offset, error) &&
	       reply_receive(client, "read", offset, error) &&
	       bytes_receive(client, buffer, length, error);
}

gboolean nbd_client_write(NbdClient *client, const void *buffer, guint32 length, guint64 offset,
			  GError **error)
{
	return request_send(client, COMMAND_WRITE, length, offset, error) &&
	       bytes_send(client, buffer, length, error) &&
	       reply_receive(client, "write", offset, error);
}

gboolean nbd_client_flush(NbdClient *client, GError **error)
{
	return request_send(client, COMMAND_FLUSH, 0, 0, error) &&
	       reply_receive(client, "flush", 0, error);
}

/* ---- what is allocated */

/* Receives the chunks of a reply; leaves the descriptors in the payload. */
static gboolean status_receive(NbdClient *client, guint64 offset, GError **error)
{
	gboolean found = FALSE;

	for (;;) {
		guint8 head[20];
		guint16 type;

		if (!bytes_receive(client, head, sizeof head, error))
			return FALSE;
		type = be16(head + 6);
		if (be32(head) != STRUCTURED_MAGIC || be64(head + 8) != client->cookie ||
		    (found && type))
			return protocol_fail("reply", error);
		if (!payload_receive(client, be32(head + 16), error))
			return FALSE;
		if (type & CHUNK_ERROR)
			return client->length >= 4
				       ? reply_fail(be32(client->payload), "read what is allocated",
						    offset, error)
				       : protocol_fail("error", error);
		if (type == CHUNK_STATUS) {
			if (client->length < 4 + DESCRIPTOR_SIZE ||
			    (client->length - 4) % DESCRIPTOR_SIZE ||
			    be32(client->payload) != client->context)
				return protocol_fail("reply", error);
			found = TRUE;
		}
		if (be16(head + 4) & CHUNK_DONE)
			return found || protocol_fail("reply", error);
	}
}

static gboolean status_ask(NbdClient *client, guint64 offset, GError **error)
{
	guint64 length = MIN(client->size - offset, STATUS_BYTES);

	if (!request_send(client, COMMAND_STATUS, (guint32)length, offset, error) ||
	    !status_receive(client, offset, error))
		return FALSE;
	client->next = 4;
	client->status_at = offset;
	return TRUE;
}

gboolean nbd_client_extent(NbdClient *client, guint64 offset, NbdExtent *ret_extent, GError **error)
{
	if (offset < client->status_at)
		client->next = client->length;
	for (;;) {
		const guint8 *descriptor = client->payload + client->next;
		guint64 end;

		if (client->next >= client->length) {
			if (!status_ask(client, offset, error))
				return FALSE;
			continue;
		}
		end = client->status_at + be32(descriptor);
		if (end > offset) {
			guint32 state = be32(descriptor + 4);

			*ret_extent = (NbdExtent){state & STATE_HOLE, state & STATE_ZERO,
						  MIN(end, client->size) - offset};
			return TRUE;
		}
		if (end == client->status_at)
			return protocol_fail("reply", error);
		client->status_at = end;
		client->next += DESCRIPTOR_SIZE;
	}
}

/* ---- */

void nbd_client_free(NbdClient *client)
{
	if (!client)
		return;
	if (client->fd >= 0) {
		request_send(client, COMMAND_DISCONNECT, 0, 0, NULL);
		close(client->fd);
	}
	g_free(client->payload);
	g_free(client);
}
