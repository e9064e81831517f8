/* SPDX-License-Identifier: Apache-2.0 */
#include "common/rbd/metadata.h"

#include <errno.h>
#include <string.h>

#define OBJECT_KEY "metadata_" METADATA_KEY /* as librbd calls it in the header */
#define SECONDS 10

/* A request, and whoever waits for it: the last of both frees it. */
typedef struct {
	gint users; /* atomic */
	rados_completion_t completion;
	rados_read_op_t read; /* one of these two */
	rados_write_op_t write;
	rados_omap_iter_t values;
	int read_result, compare_result;
	GMutex lock;
	GCond ended;
	gboolean has_ended; /* under the lock */
} Request;

static void request_leave(Request *request)
{
	if (!g_atomic_int_dec_and_test(&request->users))
		return;
	if (request->values)
		rados_omap_get_end(request->values);
	if (request->read)
		rados_release_read_op(request->read);
	if (request->write)
		rados_release_write_op(request->write);
	if (request->completion)
		rados_aio_release(request->completion);
	g_mutex_clear(&request->lock);
	g_cond_clear(&request->ended);
	g_free(request);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Request, request_leave)

static void request_end(rados_completion_t completion, void *data)
{
	Request *request = data;

	(void)completion;
	g_mutex_lock(&request->lock);
	request->has_ended = TRUE;
	g_cond_broadcast(&request->ended);
	g_mutex_unlock(&request->lock);
	request_leave(request);
}

static Request *request_new(void)
{
	Request *request = g_new0(Request, 1);

	request->users = 1;
	g_mutex_init(&request->lock);
	g_cond_init(&request->ended);
	return request;
}

static int request_begin(Request *request, const Cluster *cluster, const char *header)
{
	int r = rados_aio_create_completion(request, request_end, NULL, &request->completion);

	if (r)
		return r;
	g_atomic_int_inc(&request->users);
	r = request->read ? rados_aio_read_op_operate(request->read, cluster->io,
						      request->completion, header, 0)
			  : rados_aio_write_op_operate(request->write, cluster->io,
						       request->completion, header, NULL, 0);
	if (r)
		g_atomic_int_add(&request->users, -1);
	return r;
}

static int request_await(Request *request)
{
	gint64 until = g_get_monotonic_time() + SECONDS * G_TIME_SPAN_SECOND;
	gboolean ended;

	g_mutex_lock(&request->lock);
	while (!request->has_ended && g_cond_wait_until(&request->ended, &request->lock, until))
		;
	ended = request->has_ended;
	g_mutex_unlock(&request->lock);
	return ended ? rados_aio_get_return_value(request->completion) : -ETIMEDOUT;
}

static int request_run(Request *request, const Cluster *cluster, const char *header)
{
	int r = request_begin(request, cluster, header);

	return r ? r : request_await(request);
}

static int value_take(rados_omap_iter_t values, char *ret_text, gsize size)
{
	char *key = NULL, *value = NULL;
	size_t length = 0;
	int r = rados_omap_get_next(values, &key, &value, &length);

	if (r)
		return r;
	if (!key)
		length = 0;
	if (length >= size || (length && memchr(value, '\0', length)))
		return -EBADMSG;
	if (length)
		memcpy(ret_text, value, length);
	ret_text[length] = '\0';
	return 0;
}

int metadata_read(const Cluster *cluster, const char *header, char *ret_text, gsize size)
{
	g_autoptr(Request) request = request_new();
	const char *keys[] = {OBJECT_KEY};
	int r;

	request->read = rados_create_read_op();
	rados_read_op_omap_get_vals_by_keys(request->read, keys, G_N_ELEMENTS(keys),
					    &request->values, &request->read_result);
	r = request_run(request, cluster, header);
	return r ? r : value_take(request->values, ret_text, size);
}

int metadata_write(const Cluster *cluster, const char *header, const char *before, const char *text)
{
	g_autoptr(Request) request = request_new();
	const char *keys[] = {OBJECT_KEY}, *values[] = {text};
	const size_t lengths[] = {strlen(text)};

	request->write = rados_create_write_op();
	rados_write_op_assert_exists(request->write);
	rados_write_op_omap_cmp(request->write, OBJECT_KEY, LIBRADOS_CMPXATTR_OP_EQ, before,
				strlen(before), &request->compare_result);
	if (*text)
		rados_write_op_omap_set(request->write, keys, values, lengths, G_N_ELEMENTS(keys));
	else
		rados_write_op_omap_rm_keys(request->write, keys, G_N_ELEMENTS(keys));
	return request_run(request, cluster, header);
}
