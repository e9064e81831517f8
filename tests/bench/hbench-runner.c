/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device as the runner drives it.  The dispatch thread takes each command off the ring into
 * memory of its own, asks handle_cmd, and then calls read, write or flush: itself if the handler
 * has no threads (the handler answers with tcmur_cmd_complete(), from any thread), otherwise in one
 * of the threads that the handler asked for, whose return value is the answer.  Locks are taken
 * where the runner takes them, even if they protect nothing here.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/bench/hbench.h"

#define CDB_SIZE 16u /* READ(16), WRITE(16); longer than SYNCHRONIZE CACHE(10) */

struct HbenchWork {
	HbenchWork *next;
	struct tcmur_cmd *cmd;
};

static void eventfd_add(int fd)
{
	const guint64 one = 1;

	if (write(fd, &one, sizeof one) != sizeof one)
		die("cannot write to an eventfd: %s", g_strerror(errno));
}

static void lock_touch(pthread_mutex_t *lock)
{
	pthread_mutex_lock(lock);
	pthread_mutex_unlock(lock);
}

/* ---- the ring */

void runner_ring(struct tcmu_device *dev)
{
	eventfd_add(dev->uio);
}

EXPORT(void, tcmulib_processing_complete, struct tcmu_device *dev)
{
	if (hbench_initiator_thread)
		eventfd_add(dev->kick);
	else
		load_answered(dev, TRUE);
}

static void be_put(guint8 *to, guint bytes, guint64 value)
{
	while (bytes--) {
		to[bytes] = (guint8)value;
		value >>= 8;
	}
}

static void cdb_fill(guint8 *cdb, const struct tcmu_device *dev, const LoadOp *op)
{
	memset(cdb, 0, CDB_SIZE);
	switch (op->kind) {
	case LOAD_READ:
	case LOAD_WRITE:
		cdb[0] = op->kind == LOAD_READ ? 0x88 : 0x8a;
		be_put(cdb + 2, 8, op->offset / dev->block_size);
		be_put(cdb + 10, 4, op->length / dev->block_size);
		break;
	case LOAD_FLUSH:
		cdb[0] = 0x35;
		break;
	}
}

/* One allocation, as in the runner: the command, its iovec, its CDB, the runner's own part. */
static struct tcmulib_cmd *command_next(struct tcmu_device *dev)
{
	guint32 id;
	LoadOp *op;
	struct tcmulib_cmd *cmd;

	if (dev->submit_tail == __atomic_load_n(&dev->submit_head, __ATOMIC_ACQUIRE))
		return NULL;
	id = dev->submitted[dev->submit_tail++ % RING_SIZE];
	op = &dev->ops[id];
	cmd = malloc(sizeof *cmd + sizeof *cmd->iovec + CDB_SIZE + sizeof(struct tcmur_cmd));
	if (!cmd)
		die("no memory for a command");
	cmd->cmd_id = (guint16)id;
	cmd->iovec = (struct iovec *)(void *)(cmd + 1);
	cmd->iovec->iov_base = op->data;
	cmd->iovec->iov_len = op->length;
	cmd->iov_cnt = op->length != 0;
	cmd->cdb = (guint8 *)(cmd->iovec + 1);
	cmd->hm_private = cmd->cdb + CDB_SIZE;
	cdb_fill(cmd->cdb, dev, op);
	return cmd;
}

static void command_finish(struct tcmu_device *dev, struct tcmulib_cmd *cmd, int status)
{
	LoadOp *op = &dev->ops[cmd->cmd_id];

	if (!g_atomic_int_compare_and_exchange(&op->owned, 1, 0))
		die("command %u was completed twice", cmd->cmd_id);
	op->status = status;
	pthread_spin_lock(&dev->ring_lock);
	dev->answered[dev->n_answered++] = cmd->cmd_id;
	pthread_spin_unlock(&dev->ring_lock);
	free(cmd);
}

/* ---- completion from any thread: whoever comes while another notifies leaves that to it */

static gboolean track_end(struct tcmu_device *dev)
{
	gboolean first;

	pthread_mutex_lock(&dev->track_lock);
	dev->tracked--;
	first = ++dev->wakeups == 1;
	pthread_mutex_unlock(&dev->track_lock);
	return first;
}

static void command_done(struct tcmu_device *dev, struct tcmur_cmd *cmd, int status)
{
	gboolean notify;

	command_finish(dev, cmd->lib_cmd, status);
	notify = track_end(dev);
	while (notify) {
		tcmulib_processing_complete(dev);
		pthread_mutex_lock(&dev->track_lock);
		notify = dev->wakeups > 1;
		dev->wakeups = notify;
		pthread_mutex_unlock(&dev->track_lock);
	}
}

EXPORT(void, tcmur_cmd_complete, struct tcmu_device *dev, void *cmd, int status)
{
	struct tcmur_cmd *own = cmd;

	own->done(dev, own, status);
}

/* ---- dispatch */

static int handler_call(struct tcmu_device *dev, struct tcmur_cmd *cmd)
{
	const struct tcmur_handler *handler = dev->handler;
	struct tcmulib_cmd *lib = cmd->lib_cmd;
	const LoadOp *op = &dev->ops[lib->cmd_id];

	switch (op->kind) {
	case LOAD_READ:
		return handler->read(dev, cmd, lib->iovec, lib->iov_cnt, op->length,
				     (off_t)op->offset);
	case LOAD_WRITE:
		return handler->write(dev, cmd, lib->iovec, lib->iov_cnt, op->length,
				      (off_t)op->offset);
	case LOAD_FLUSH:
		return handler->flush(dev, cmd);
	}
	return TCMU_STS_NOT_HANDLED;
}

static void work_add(struct tcmu_device *dev, struct tcmur_cmd *cmd)
{
	HbenchWork *work = malloc(sizeof *work);

	if (!work)
		die("no memory for work");
	work->next = NULL;
	work->cmd = cmd;
	pthread_mutex_lock(&dev->work_lock);
	*dev->works_end = work;
	dev->works_end = &work->next;
	pthread_cond_signal(&dev->work_added);
	pthread_mutex_unlock(&dev->work_lock);
}

static void unlock_work(void *lock)
{
	pthread_mutex_unlock(lock);
}

static void *work_forever(void *data)
{
	struct tcmu_device *dev = data;

	for (;;) {
		HbenchWork *work;
		int status;

		pthread_mutex_lock(&dev->work_lock);
		pthread_cleanup_push(unlock_work, &dev->work_lock);
		while (!dev->works)
			pthread_cond_wait(&dev->work_added, &dev->work_lock);
		work = dev->works;
		dev->works = work->next;
		if (!dev->works)
			dev->works_end = &dev->works;
		pthread_cleanup_pop(1);
		status = handler_call(dev, work->cmd);
		command_done(dev, work->cmd, status);
		free(work);
	}
	return NULL;
}

static int command_start(struct tcmu_device *dev, struct tcmur_cmd *cmd)
{
	int status;

	if (dev->handler->nr_threads) {
		work_add(dev, cmd);
		return TCMU_STS_ASYNC_HANDLED;
	}
	status = handler_call(dev, cmd);
	return status == TCMU_STS_OK ? TCMU_STS_ASYNC_HANDLED : status;
}

static int command_handle(struct tcmu_device *dev, struct tcmulib_cmd *lib)
{
	const struct tcmur_handler *handler = dev->handler;
	struct tcmur_cmd *cmd = lib->hm_private;
	int status;

	lock_touch(&dev->state_lock); /* a unit attention? */
	memset(cmd, 0, sizeof *cmd);
	cmd->lib_cmd = lib;
	cmd->done = command_done;
	if (handler->handle_cmd) {
		status = handler->handle_cmd(dev, cmd);
		if (status != TCMU_STS_NOT_HANDLED || !handler->read)
			return status;
	}
	if (!handler->flush && lib->cdb[0] == 0x35)
		return TCMU_STS_OK;
	pthread_mutex_lock(&dev->track_lock);
	dev->tracked++;
	pthread_mutex_unlock(&dev->track_lock);
	lock_touch(&dev->state_lock); /* in recovery? */
	status = command_start(dev, cmd);
	if (status != TCMU_STS_ASYNC_HANDLED) {
		pthread_mutex_lock(&dev->track_lock);
		dev->tracked--;
		pthread_mutex_unlock(&dev->track_lock);
	}
	return status;
}

static void *dispatch_forever(void *data)
{
	struct tcmu_device *dev = data;

	for (;;) {
		struct pollfd doorbell = {.fd = dev->uio, .events = POLLIN};
		struct tcmulib_cmd *cmd;
		gboolean completed = FALSE;
		guint64 value;

		if (read(dev->uio, &value, sizeof value) < 0 && errno != EAGAIN)
			die("cannot read the doorbell: %s", g_strerror(errno));
		while ((cmd = command_next(dev))) {
			int status = command_handle(dev, cmd);

			if (status != TCMU_STS_ASYNC_HANDLED) {
				command_finish(dev, cmd, status);
				completed = TRUE;
			}
		}
		if (completed)
			tcmulib_processing_complete(dev);
		if (ppoll(&doorbell, 1, NULL, NULL) < 0 && errno != EINTR)
			die("cannot wait for the doorbell: %s", g_strerror(errno));
		lock_touch(&dev->state_lock); /* stopping? */
	}
	return NULL;
}

/* ---- threads */

static void thread_start(pthread_t *thread, void *(*run)(void *), struct tcmu_device *dev)
{
	if (pthread_create(thread, NULL, run, dev))
		die("cannot start a thread");
}

static void thread_cancel(pthread_t thread)
{
	if (!pthread_cancel(thread))
		pthread_join(thread, NULL);
}

void runner_start(struct tcmu_device *dev)
{
	int threads = dev->handler->nr_threads;

	dev->works_end = &dev->works;
	dev->workers = g_new0(pthread_t, (gsize)threads + 1);
	for (int i = 0; i < threads; i++)
		thread_start(&dev->workers[i], work_forever, dev);
	thread_start(&dev->dispatcher, dispatch_forever, dev);
	if (hbench_initiator_thread)
		thread_start(&dev->initiator, load_initiator, dev);
}

/* Lets the last thread that completed something leave tcmulib_processing_complete(). */
static void completions_wait(struct tcmu_device *dev)
{
	gboolean busy = TRUE;

	while (busy) {
		g_usleep(100);
		pthread_mutex_lock(&dev->track_lock);
		busy = dev->tracked || dev->wakeups;
		pthread_mutex_unlock(&dev->track_lock);
	}
}

void runner_stop(struct tcmu_device *dev)
{
	completions_wait(dev);
	for (int i = 0; i < dev->handler->nr_threads; i++)
		thread_cancel(dev->workers[i]);
	thread_cancel(dev->dispatcher);
	if (hbench_initiator_thread)
		thread_cancel(dev->initiator);
	g_free(dev->workers);
}
