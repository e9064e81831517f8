/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/handler/pretended-rbd.h"

#include <errno.h>
#include <string.h>

#include "common/backing/module.h"
#include "common/base/bytes.h"
#include "common/base/error.h"

#define EXPORT __attribute__((visibility("default")))
#define ANOTHER 1 /* the client of the other gateway */

typedef struct {
	Backing base;
	guint client;
	gboolean fenced; /* atomic */
} Handle;

static GMutex lock; /* protects all of these */
static GCond released;
static guint8 *content;
static guint owner, clients = ANOTHER, opened, open_now, held;
static guint64 count;
static gboolean serving, holding;
static char kept[4096]; /* the properties */

static gboolean is_fenced_locked(const Handle *handle)
{
	return g_atomic_int_get(&handle->fenced);
}

static int check_change_locked(Handle *handle)
{
	if (is_fenced_locked(handle))
		return -ESHUTDOWN;
	return owner == handle->client ? 0 : -EBUSY;
}

static int handle_preadv(Backing *backing, const struct iovec *iov, int n, guint64 offset,
			 BackingFlags flags)
{
	IovCursor cursor = iov_cursor(iov, n);
	gsize length = iov_length(iov, n);
	int r = 0;

	if (flags & BACKING_NOWAIT)
		return -EAGAIN;
	if (offset + length > PRETENDED_SIZE)
		return -ENXIO;
	g_mutex_lock(&lock);
	if (is_fenced_locked((Handle *)backing))
		r = -EIO;
	else
		iov_copy_in(&cursor, content + offset, length);
	g_mutex_unlock(&lock);
	return r;
}

static int handle_pwritev(Backing *backing, const struct iovec *iov, int n, guint64 offset,
			  BackingFlags flags)
{
	IovCursor cursor = iov_cursor(iov, n);
	gsize length = iov_length(iov, n);
	int r;

	if (flags & BACKING_NOWAIT)
		return -EAGAIN;
	g_mutex_lock(&lock);
	r = check_change_locked((Handle *)backing);
	if (!r)
		iov_copy_out(&cursor, content + offset, length);
	held++;
	while (holding)
		g_cond_wait(&released, &lock);
	held--;
	g_mutex_unlock(&lock);
	return r;
}

static int handle_punch(Backing *backing, guint64 offset, guint64 length)
{
	int r;

	g_mutex_lock(&lock);
	r = check_change_locked((Handle *)backing);
	if (!r)
		memset(content + offset, 0, length);
	g_mutex_unlock(&lock);
	return r;
}

static int handle_flush(Backing *backing)
{
	return backing_condemned(backing) ? -ESHUTDOWN : 0;
}

static guint64 handle_size(Backing *backing)
{
	(void)backing;
	return PRETENDED_SIZE;
}

static int handle_grow(Backing *backing, guint64 size)
{
	(void)backing;
	return size > PRETENDED_SIZE ? -ENOSPC : 0;
}

static gboolean fail_as_owned(GError **error)
{
	return error_set(error, STORAGEOS_ERROR_BUSY, "in use by the client of Ceph at client.%u",
			 owner);
}

static gboolean handle_lock(Backing *backing, gboolean exclusive, GError **error)
{
	Handle *handle = (Handle *)backing;
	gboolean taken;

	g_mutex_lock(&lock);
	taken = !exclusive || !owner || fail_as_owned(error);
	if (taken && exclusive)
		owner = handle->client;
	g_mutex_unlock(&lock);
	return taken;
}

static gboolean handle_owner(Backing *backing, BackingOwner *ret_owner, GError **error)
{
	BackingOwner found = {.count = 0};

	(void)backing, (void)error;
	g_mutex_lock(&lock);
	count += serving;
	found.count = count;
	if (owner)
		g_snprintf(found.client, sizeof found.client, "client.%u", owner);
	g_strlcpy(found.host, "beta", sizeof found.host);
	g_mutex_unlock(&lock);
	*ret_owner = found;
	return TRUE;
}

static gboolean handle_take_over(Backing *backing, const char *client, GError **error)
{
	Handle *handle = (Handle *)backing;
	g_autofree char *now = NULL;
	gboolean taken;

	g_mutex_lock(&lock);
	now = g_strdup_printf("client.%u", owner);
	taken = !owner || !g_strcmp0(now, client) || fail_as_owned(error);
	if (taken)
		owner = handle->client;
	g_mutex_unlock(&lock);
	return taken;
}

static gboolean handle_is_fenced(Backing *backing)
{
	return g_atomic_int_get(&((Handle *)backing)->fenced);
}

static guint64 handle_allocated(Backing *backing)
{
	(void)backing;
	return 0;
}

static int handle_read_properties(Backing *backing, char *ret_text, gsize size)
{
	(void)backing;
	g_mutex_lock(&lock);
	g_strlcpy(ret_text, kept, size);
	g_mutex_unlock(&lock);
	return 0;
}

static void handle_identity(Backing *backing, guint8 *ret_uuid)
{
	static const guint8 uuid[16] = {0x9a, 0x7c, 0x3c, 0x5e, 0x0d, 0x52, 0x5c, 0x5b,
					0x8a, 0x54, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16};

	(void)backing;
	memcpy(ret_uuid, uuid, sizeof uuid);
}

static Handle *handles[4096]; /* by client; NULL: closed */

static void handle_free(Backing *backing)
{
	Handle *handle = (Handle *)backing;

	g_mutex_lock(&lock);
	if (owner == handle->client)
		owner = 0;
	handles[handle->client] = NULL;
	open_now--;
	g_mutex_unlock(&lock);
	g_free(handle);
}

static const BackingOps handle_ops = {
	.kind = "rbd",
	.preadv = handle_preadv,
	.pwritev = handle_pwritev,
	.flush = handle_flush,
	.punch = handle_punch,
	.size = handle_size,
	.grow = handle_grow,
	.lock = handle_lock,
	.owner = handle_owner,
	.take_over = handle_take_over,
	.is_fenced = handle_is_fenced,
	.allocated = handle_allocated,
	.identity = handle_identity,
	.read_properties = handle_read_properties,
	.free = handle_free,
};

static Backing *pretended_open(const char *rest, BackingOpenFlags flags, GError **error)
{
	Handle *handle = g_new0(Handle, 1);

	(void)flags, (void)error;
	backing_init(&handle->base, &handle_ops, rest);
	g_mutex_lock(&lock);
	if (!content)
		content = g_malloc0(PRETENDED_SIZE);
	g_assert(clients + 1 < G_N_ELEMENTS(handles));
	handle->client = ++clients;
	handles[handle->client] = handle;
	opened++;
	open_now++;
	g_mutex_unlock(&lock);
	return &handle->base;
}

/* ---- the other gateway */

static void control_take(void)
{
	g_mutex_lock(&lock);
	if (handles[owner])
		g_atomic_int_set(&handles[owner]->fenced, TRUE);
	owner = ANOTHER;
	g_mutex_unlock(&lock);
}

static void control_give_back(void)
{
	g_mutex_lock(&lock);
	owner = 0;
	g_mutex_unlock(&lock);
}

static void control_serve(gboolean serves)
{
	g_mutex_lock(&lock);
	serving = serves;
	g_mutex_unlock(&lock);
}

static void control_keep(const char *properties)
{
	g_mutex_lock(&lock);
	g_strlcpy(kept, properties, sizeof kept);
	g_mutex_unlock(&lock);
}

static void control_hold(gboolean hold)
{
	g_mutex_lock(&lock);
	holding = hold;
	g_cond_broadcast(&released);
	g_mutex_unlock(&lock);
}

static guint get(const guint *value)
{
	guint now;

	g_mutex_lock(&lock);
	now = *value;
	g_mutex_unlock(&lock);
	return now;
}

static guint control_held(void)
{
	return get(&held);
}

static guint control_opened(void)
{
	return get(&opened);
}

static guint control_open(void)
{
	return get(&open_now);
}

EXPORT const Pretended *pretended_controls(void);

const Pretended *pretended_controls(void)
{
	static const Pretended controls = {.take = control_take,
					   .give_back = control_give_back,
					   .serve = control_serve,
					   .keep = control_keep,
					   .hold = control_hold,
					   .held = control_held,
					   .opened = control_opened,
					   .open = control_open};

	return &controls;
}

/* ---- the module */

static char *read_marker(const char *store, GError **error)
{
	(void)store, (void)error;
	return g_strdup("{\"format\": 1, \"uuid\": \"" PRETENDED_UUID "\", \"name\": \"ceph\"}");
}

static gboolean space(const char *store, StoreSpace *ret_space, GError **error)
{
	(void)store, (void)error;
	*ret_space = (StoreSpace){2 * PRETENDED_SIZE, PRETENDED_SIZE};
	return TRUE;
}

EXPORT const Module *MODULE_ENTRY(const ModuleHost *host);

const Module *MODULE_ENTRY(const ModuleHost *host)
{
	static const StoreOps store = {.read_marker = read_marker, .space = space};
	static const Module module = {
		.version = "pretended", .open = pretended_open, .store = &store};

	(void)host;
	return &module;
}
