/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread for each backing that is locked looks every 2 s whether the lock is still ours, for a
 * volume that only reads learns of it in no other way, and how large the image is, which others may
 * change.  Each second it counts up what others read of the owner, too (owner.h).
 */
#include "common/rbd/owner.h"

#include <errno.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/thread.h"

#define LOOK_ROUNDS 2 /* of a second */
#define ALLOCATED_ROUNDS 60
#define FENCED "Ceph has fenced it off: another client broke its lock, or it was blocklisted"

void rbd_backing_note_fenced(RbdBacking *rbd)
{
	__atomic_store_n(&rbd->fenced, TRUE, __ATOMIC_RELEASE);
	backing_condemn(&rbd->base, FENCED);
}

gboolean rbd_backing_is_fenced(Backing *backing)
{
	return __atomic_load_n(&((RbdBacking *)backing)->fenced, __ATOMIC_ACQUIRE);
}

/* ---- the looker */

static void look_at_lock(RbdBacking *rbd)
{
	int is_ours = 0, r = rbd_is_exclusive_lock_owner(rbd->image, &is_ours);

	if (r == -ESHUTDOWN || (!r && !is_ours))
		rbd_backing_note_fenced(rbd);
}

/* Of a backing that is fenced, the record is another's. */
static void count_up(RbdBacking *rbd)
{
	guint64 changes = __atomic_load_n(&rbd->changes, __ATOMIC_ACQUIRE);

	if (!__atomic_load_n(&rbd->taken_over, __ATOMIC_ACQUIRE) || changes == rbd->counted ||
	    rbd_backing_is_fenced(&rbd->base))
		return;
	if (owner_count_up(rbd) == -ESHUTDOWN)
		rbd_backing_note_fenced(rbd);
	rbd->counted = changes;
}

static gboolean looker_waits(RbdBacking *rbd)
{
	gint64 until = g_get_monotonic_time() + G_TIME_SPAN_SECOND;
	gboolean ends;

	g_mutex_lock(&rbd->lock);
	while (!rbd->ends && g_cond_wait_until(&rbd->ending, &rbd->lock, until))
		;
	ends = rbd->ends;
	g_mutex_unlock(&rbd->lock);
	return !ends;
}

static gpointer looker_main(gpointer data)
{
	RbdBacking *rbd = data;
	guint64 round = 0;

	do {
		if (round % ALLOCATED_ROUNDS == 0)
			rbd_backing_look_at_allocated(rbd);
		if (round++ % LOOK_ROUNDS == 0) {
			look_at_lock(rbd);
			rbd_backing_look_at_size(rbd);
		}
		count_up(rbd);
	} while (looker_waits(rbd));
	return NULL;
}

void rbd_backing_end_looker(RbdBacking *rbd)
{
	if (!rbd->looker)
		return;
	g_mutex_lock(&rbd->lock);
	rbd->ends = TRUE;
	g_cond_broadcast(&rbd->ending);
	g_mutex_unlock(&rbd->lock);
	g_thread_join(rbd->looker);
}

/* ---- who has the lock */

/* Of an image that is open for reading, librbd tells no owners, but who has taken the lock on its
 * header. */
static int read_locker(RbdBacking *rbd, char *ret_client, gsize size)
{
	char tag[64] = "", clients[1024] = "", cookies[1024] = "", addresses[1024] = "";
	size_t tags = sizeof tag, ids = sizeof clients, all = sizeof cookies, n = sizeof addresses;
	int exclusive;
	ssize_t r = rbd_list_lockers(rbd->image, &exclusive, tag, &tags, clients, &ids, cookies,
				     &all, addresses, &n);

	if (r > 0)
		g_strlcpy(ret_client, addresses, size); /* the first of them ends with a NUL */
	return r < 0 ? (int)r : 0;
}

static int read_owner(RbdBacking *rbd, char *ret_client, gsize size)
{
	char *owners[8] = {0};
	size_t n = G_N_ELEMENTS(owners);
	rbd_lock_mode_t mode;
	int r = rbd_lock_get_owners(rbd->image, &mode, owners, &n);

	if (r)
		return r == -ENOENT ? 0 : r;
	if (n)
		g_strlcpy(ret_client, owners[0], size);
	rbd_lock_get_owners_cleanup(owners, n);
	return 0;
}

/* "": nobody.  0 or a negative errno. */
static int read_client(RbdBacking *rbd, char *ret_client, gsize size)
{
	*ret_client = '\0';
	return rbd->read_only ? read_locker(rbd, ret_client, size)
			      : read_owner(rbd, ret_client, size);
}

static gboolean fail_as_owned(RbdBacking *rbd, const char *client, GError **error)
{
	return error_set(
		error, STORAGEOS_ERROR_BUSY,
		"%s: in use by the client of Ceph at %s, which has its lock (see: rbd lock ls)",
		rbd->base.name, client);
}

/* BUSY, with the address of the client that has the lock. */
static gboolean fail_as_locked(RbdBacking *rbd, int r, GError **error)
{
	BackingOwner owner;

	if (!read_client(rbd, owner.client, sizeof owner.client) && *owner.client)
		return fail_as_owned(rbd, owner.client, error);
	if (r == -EROFS || r == -EBUSY || r == -EAGAIN)
		return error_set(error, STORAGEOS_ERROR_BUSY,
				 "%s: another client had its lock a moment ago; try again",
				 rbd->base.name);
	return error_set_errno(error, r, "%s: take the image's lock", rbd->base.name);
}

gboolean rbd_backing_owner(Backing *backing, BackingOwner *ret_owner, GError **error)
{
	RbdBacking *rbd = (RbdBacking *)backing;
	BackingOwner owner = {0};
	int r = read_client(rbd, owner.client, sizeof owner.client);

	if (!r)
		r = owner_read(rbd, owner.host, sizeof owner.host, &owner.count);
	if (r == -ESHUTDOWN)
		rbd_backing_note_fenced(rbd);
	if (r)
		return error_set_errno(error, r, "%s: look who has its lock", backing->name);
	*ret_owner = owner;
	return TRUE;
}

/* ---- taking it */

/* Of a client that died, librbd waits until Ceph has forgotten it: up to 30 s. */
static gboolean acquire(RbdBacking *rbd, GError **error)
{
	int r = rbd_lock_acquire(rbd->image, RBD_LOCK_MODE_EXCLUSIVE);

	if (r)
		return fail_as_locked(rbd, r, error);
	r = rbd_backing_look_at_size(rbd);
	if (r)
		return error_set_errno(error, r, "%s: look at its size", rbd->base.name);
	rbd->looker = thread_start("storageos-rbd", looker_main, rbd, error);
	if (!rbd->looker)
		return FALSE;
	__atomic_store_n(&rbd->locked, TRUE, __ATOMIC_RELEASE);
	return TRUE;
}

gboolean rbd_backing_lock(Backing *backing, gboolean exclusive, GError **error)
{
	RbdBacking *rbd = (RbdBacking *)backing;
	gboolean locked;

	if (!exclusive)
		return TRUE;
	g_mutex_lock(&rbd->taking);
	locked = rbd->looker || acquire(rbd, error);
	g_mutex_unlock(&rbd->taking);
	return locked;
}

/* The blocklist is known to this client before its first change, and so to every OSD that carries
 * one out: nothing of the fenced one arrives behind it. */
static gboolean fence_off(RbdBacking *rbd, const char *client, GError **error)
{
	int r = rbd_lock_break(rbd->image, RBD_LOCK_MODE_EXCLUSIVE, client);

	if (r == -EAGAIN || r == -EBUSY || r == -ENOENT)
		return error_set(error, STORAGEOS_ERROR_BUSY,
				 "%s: its lock is not the client's at %s any more; look again",
				 rbd->base.name, client);
	if (r)
		return error_set_errno(error, r, "%s: break the lock of the client at %s",
				       rbd->base.name, client);
	r = rados_wait_for_latest_osdmap(rbd->cluster.rados);
	return !r || error_set_errno(error, r, "%s: wait for Ceph's map", rbd->base.name);
}

static gboolean take_over(RbdBacking *rbd, const char *client, GError **error)
{
	char now[128];
	int r;

	if (rbd->looker)
		return TRUE;
	r = read_client(rbd, now, sizeof now);
	if (r)
		return error_set_errno(error, r, "%s: look who has its lock", rbd->base.name);
	if (*now && g_strcmp0(now, client) != 0)
		return fail_as_owned(rbd, now, error);
	if (*now && !fence_off(rbd, client, error))
		return FALSE;
	__atomic_store_n(&rbd->taken_over, TRUE, __ATOMIC_RELEASE);
	return acquire(rbd, error);
}

gboolean rbd_backing_take_over(Backing *backing, const char *client, GError **error)
{
	RbdBacking *rbd = (RbdBacking *)backing;
	gboolean taken;

	g_mutex_lock(&rbd->taking);
	taken = take_over(rbd, client, error);
	g_mutex_unlock(&rbd->taking);
	return taken;
}
