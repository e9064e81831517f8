/* SPDX-License-Identifier: Apache-2.0 */
#include "common/rbd/rbd-private.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "common/base/bounds.h"
#include "common/base/bytes.h"
#include "common/base/error.h"
#include "common/rbd/image.h"
#include "common/rbd/metadata.h"

#define PUNCH_PIECE ((guint64)1 << 30) /* librbd makes a request for each object of it at once */
#define ALLOCATED_OBJECTS 16384	       /* that are asked for one by one, at most */

/* ---- requests */

/* Waits for the request that `begun`, its result, has begun. */
static int await(rbd_completion_t done, int begun)
{
	gint64 r = begun;

	if (!r) {
		rbd_aio_wait_for_complete(done);
		r = rbd_aio_get_return_value(done);
	}
	rbd_aio_release(done);
	return r < 0 ? (int)r : 0;
}

/* What an error of a change means.  -ESHUTDOWN (EBLOCKLISTED) and -EROFS are said to those who do
 * not have the lock any more. */
static int change_result(RbdBacking *rbd, int r)
{
	switch (r) {
	case 0:
		__atomic_fetch_add(&rbd->changes, 1, __ATOMIC_RELEASE);
		return 0;
	case -ENOMEM:
	case -EOPNOTSUPP:
		return r;
	case -ENOSPC:
	case -EDQUOT:
		return -ENOSPC;
	case -ESHUTDOWN:
	case -EROFS:
		rbd_backing_note_fenced(rbd);
		return -ESHUTDOWN;
	default:
		return -EIO;
	}
}

typedef int (*Transfer)(rbd_image_t image, const struct iovec *iov, int count, uint64_t offset,
			rbd_completion_t done);

/* librbd takes IOV_MAX pieces at once. */
static int transfer(RbdBacking *rbd, Transfer begin, const struct iovec *iov, int count,
		    guint64 offset)
{
	int r = 0;

	while (iov_length(iov, count) && !r) {
		int n = MIN(count, IOV_MAX);
		rbd_completion_t done;

		r = rbd_aio_create_completion(NULL, NULL, &done);
		if (!r)
			r = await(done, begin(rbd->image, iov, n, offset, done));
		offset += iov_length(iov, n);
		iov += n;
		count -= n;
	}
	return r;
}

static gboolean is_within(RbdBacking *rbd, guint64 offset, guint64 length)
{
	guint64 size = rbd_backing_bytes(rbd);

	return offset <= size && length <= size - offset;
}

static int rbd_backing_preadv(Backing *backing, const struct iovec *iov, int count, guint64 offset,
			      BackingFlags flags)
{
	RbdBacking *rbd = (RbdBacking *)backing;
	gsize length = iov_length(iov, count);
	int r;

	if (!is_within(rbd, offset, length))
		return -ENXIO;
	if (length && flags & BACKING_NOWAIT)
		return -EAGAIN;
	r = transfer(rbd, rbd_aio_readv, iov, count, offset);
	if (r == -ESHUTDOWN)
		rbd_backing_note_fenced(rbd);
	return !r || r == -ENOMEM ? r : -EIO;
}

static int rbd_backing_pwritev(Backing *backing, const struct iovec *iov, int count, guint64 offset,
			       BackingFlags flags)
{
	RbdBacking *rbd = (RbdBacking *)backing;
	gsize length = iov_length(iov, count);

	if (!is_within(rbd, offset, length))
		return -ENOSPC;
	if (!rbd_backing_is_locked(rbd)) /* librbd would lock it by itself */
		return -EBUSY;
	if (length && flags & BACKING_NOWAIT)
		return -EAGAIN;
	return change_result(rbd, transfer(rbd, rbd_aio_writev, iov, count, offset));
}

static int rbd_backing_flush(Backing *backing)
{
	return backing_condemned(backing) ? -ESHUTDOWN : 0;
}

/* A discard does not promise zeros; this does. */
static int rbd_backing_punch(Backing *backing, guint64 offset, guint64 length)
{
	RbdBacking *rbd = (RbdBacking *)backing;
	guint64 end = min_u64(offset + length, rbd_backing_bytes(rbd));
	rbd_completion_t done;
	int r = 0;

	if (!rbd_backing_is_locked(rbd))
		return -EBUSY;
	if (!rbd->write_zeroes)
		return -EOPNOTSUPP;
	while (offset < end && !r) {
		gsize piece = (gsize)min_u64(end - offset, PUNCH_PIECE);

		r = rbd_aio_create_completion(NULL, NULL, &done);
		if (!r)
			r = await(done, rbd->write_zeroes(rbd->image, offset, piece, done, 0, 0));
		offset += piece;
	}
	return change_result(rbd, r);
}

/* ---- size and space */

static guint64 rbd_backing_size(Backing *backing)
{
	return rbd_backing_bytes((RbdBacking *)backing);
}

int rbd_backing_look_at_size(RbdBacking *rbd)
{
	uint64_t size;
	int r = rbd_get_size(rbd->image, &size);

	if (!r)
		__atomic_store_n(&rbd->size, size, __ATOMIC_RELEASE);
	return r;
}

static int rbd_backing_grow(Backing *backing, guint64 size)
{
	RbdBacking *rbd = (RbdBacking *)backing;
	int r = size > G_MAXINT64 ? -ENOSPC : rbd_backing_look_at_size(rbd);

	if (!rbd_backing_is_locked(rbd))
		return -EBUSY;
	if (!r && rbd_backing_bytes(rbd) < size)
		r = rbd_resize(rbd->image, size);
	if (!r)
		r = rbd_backing_look_at_size(rbd);
	return change_result(rbd, r);
}

static int add_extent(uint64_t offset, size_t length, int exists, void *sum)
{
	(void)offset;
	*(guint64 *)sum += exists ? length : 0;
	return 0;
}

/* For a diff, librbd takes the lock by itself if nobody has it, as for a change: until the image is
 * locked, what looks is a handle that only reads. */
static int sum_extents(RbdBacking *rbd, uint64_t *sum)
{
	rbd_image_t image = rbd->image;
	char name[RBD_MAX_IMAGE_NAME_SIZE];
	size_t size = sizeof name;
	int r = 0;

	if (!rbd_backing_is_locked(rbd)) {
		r = rbd_get_name(rbd->image, name, &size);
		if (!r)
			r = rbd_open_read_only(rbd->cluster.io, name, &image, NULL);
	}
	if (r)
		return r;
	r = rbd_diff_iterate2(image, NULL, 0, rbd_backing_bytes(rbd), 0, 1, add_extent, sum);
	if (image != rbd->image)
		rbd_close(image);
	return r;
}

/* Without an object map every object is asked for.  Where that would take long, the image counts as
 * whole. */
void rbd_backing_look_at_allocated(RbdBacking *rbd)
{
	uint64_t features = 0, objects = 0, sum = 0;
	rbd_image_info_t info;

	if (!rbd_stat(rbd->image, &info, sizeof info))
		objects = info.num_objs;
	rbd_get_features(rbd->image, &features);
	if (!(features & RBD_FEATURE_FAST_DIFF) && objects > ALLOCATED_OBJECTS)
		sum = rbd_backing_bytes(rbd);
	else if (sum_extents(rbd, &sum))
		return;
	__atomic_store_n(&rbd->allocated, sum, __ATOMIC_RELEASE);
}

/* Nobody looks beside whoever asks unless the image is locked. */
static guint64 rbd_backing_allocated(Backing *backing)
{
	RbdBacking *rbd = (RbdBacking *)backing;

	if (!rbd_backing_is_locked(rbd))
		rbd_backing_look_at_allocated(rbd);
	return __atomic_load_n(&rbd->allocated, __ATOMIC_ACQUIRE);
}

/* ---- */

static void rbd_backing_identity(Backing *backing, guint8 *ret_uuid)
{
	RbdBacking *rbd = (RbdBacking *)backing;

	image_uuid(&rbd->cluster, rbd->image, ret_uuid);
}

static int rbd_backing_read_properties(Backing *backing, char *ret_text, gsize size)
{
	RbdBacking *rbd = (RbdBacking *)backing;
	int r;
	g_autofree char *header = image_header_name(rbd->image, &r);

	return r ? r : metadata_read(&rbd->cluster, header, ret_text, size);
}

static int rbd_backing_write_properties(Backing *backing, const char *before, const char *text)
{
	RbdBacking *rbd = (RbdBacking *)backing;
	int r;
	g_autofree char *header = image_header_name(rbd->image, &r);

	return r ? r : metadata_write(&rbd->cluster, header, before, text);
}

static void rbd_backing_free(Backing *backing)
{
	RbdBacking *rbd = (RbdBacking *)backing;

	rbd_backing_end_looker(rbd);
	if (rbd->image)
		rbd_close(rbd->image); /* gives the lock back */
	cluster_disconnect(&rbd->cluster);
	g_mutex_clear(&rbd->taking);
	g_mutex_clear(&rbd->lock);
	g_cond_clear(&rbd->ending);
	g_free(rbd);
}

static const BackingOps rbd_ops = {
	.kind = "rbd",
	.durable = TRUE,
	.keeper = "Ceph has that: rbd snap, rbd clone, rbd export-diff, rbd resize, and checksums "
		  "with deep scrubs",
	.preadv = rbd_backing_preadv,
	.pwritev = rbd_backing_pwritev,
	.flush = rbd_backing_flush,
	.punch = rbd_backing_punch,
	.size = rbd_backing_size,
	.grow = rbd_backing_grow,
	.lock = rbd_backing_lock,
	.owner = rbd_backing_owner,
	.take_over = rbd_backing_take_over,
	.is_fenced = rbd_backing_is_fenced,
	.allocated = rbd_backing_allocated,
	.identity = rbd_backing_identity,
	.read_properties = rbd_backing_read_properties,
	.write_properties = rbd_backing_write_properties,
	.free = rbd_backing_free,
};

/* An image with a journal has other rules for its lock.  One without an exclusive lock can only be
 * read. */
static gboolean check_features(RbdBacking *rbd, GError **error)
{
	uint64_t features;
	uint8_t old;
	int r = rbd_get_features(rbd->image, &features);

	if (!r)
		r = rbd_get_old_format(rbd->image, &old);
	if (!r && old) /* it has no id, which its UUID is made of */
		return error_set(error, STORAGEOS_ERROR_UNSUPPORTED,
				 "%s: it has the format 1 (rbd migration prepare makes it one of "
				 "format 2)",
				 rbd->base.name);
	if (r)
		return error_set_errno(error, r, "%s: look at its features", rbd->base.name);
	if (features & RBD_FEATURE_JOURNALING)
		return error_set(error, STORAGEOS_ERROR_UNSUPPORTED,
				 "%s: it is journaled (rbd feature disable IMAGE journaling)",
				 rbd->base.name);
	return rbd->read_only || (features & RBD_FEATURE_EXCLUSIVE_LOCK) ||
	       error_set(error, STORAGEOS_ERROR_UNSUPPORTED,
			 "%s: it has no exclusive lock (rbd feature enable IMAGE exclusive-lock)",
			 rbd->base.name);
}

static gboolean open_image(RbdBacking *rbd, const ClusterPlace *place, GError **error)
{
	int r;

	if (!cluster_connect(&rbd->cluster, place, CLUSTER_FOR_DATA, error)) {
		g_prefix_error(error, "%s: ", rbd->base.name);
		return FALSE;
	}
	r = rbd->read_only ? rbd_open_read_only(rbd->cluster.io, place->image, &rbd->image, NULL)
			   : rbd_open(rbd->cluster.io, place->image, &rbd->image, NULL);
	if (r == -ENOENT)
		return error_set(error, STORAGEOS_ERROR_NOT_FOUND, "%s: there is no such image",
				 rbd->base.name);
	if (r)
		return error_set_errno(error, r, "%s: open the image", rbd->base.name);
	r = rbd_backing_look_at_size(rbd);
	return r ? error_set_errno(error, r, "%s: look at its size", rbd->base.name)
		 : check_features(rbd, error);
}

static void find_write_zeroes(RbdBacking *rbd)
{
	void *symbol = dlsym(RTLD_DEFAULT, "rbd_aio_write_zeroes");

	memcpy(&rbd->write_zeroes, &symbol, sizeof symbol); /* ISO C has no conversion */
}

Backing *backing_rbd_open(const char *rest, BackingOpenFlags flags, GError **error)
{
	g_auto(ClusterPlace) place = {0};
	g_autofree char *name = NULL;
	RbdBacking *rbd;

	if (!cluster_place_parse(rest, &place, error))
		return NULL;
	rbd = g_new0(RbdBacking, 1);
	name = cluster_place_name(&place);
	backing_init(&rbd->base, &rbd_ops, name);
	g_mutex_init(&rbd->taking);
	g_mutex_init(&rbd->lock);
	g_cond_init(&rbd->ending);
	rbd->read_only = (flags & BACKING_OPEN_READ_ONLY) != 0;
	find_write_zeroes(rbd);
	if (open_image(rbd, &place, error))
		return &rbd->base;
	backing_free(&rbd->base);
	return NULL;
}
