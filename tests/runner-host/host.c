/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices and their dispatch.  The plugin gets each command as a Wrapped: one piece of memory, as
 * in the runner, in which a struct tcmur_cmd follows immediately after the CDB, wherever the CDB
 * ends.
 */
#include "tests/runner-host/host-private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/bytes.h"
#include "tests/harness.h"

typedef struct {
	struct tcmulib_cmd lib; /* first */
	Command *command;
	struct iovec iov[]; /* followed by the CDB, which is followed by a struct tcmur_cmd */
} Wrapped;

#define CDB_MAX 16

#define PATIENCE 60 /* seconds until a wait counts as a hang */

static struct timespec deadline(void)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += PATIENCE;
	return end;
}

/* Waits for a change of the device.  A command that does not end blocks its device for ever, as in
 * the runner, so the program ends after PATIENCE. */
static void wait_for_change(Dev *dev, const struct timespec *end)
{
	if (!pthread_cond_timedwait(&dev->changed, &dev->lock, end))
		return;
	printf("Bail out! a command was not completed within %d s\n", PATIENCE);
	fflush(stdout);
	_exit(1);
}

/* ---- completion */

static void tell_kernel(Dev *dev)
{
	Command *command, *next;

	pthread_mutex_lock(&dev->lock);
	command = dev->told_late;
	dev->told_late = NULL;
	for (; command; command = next) {
		next = command->next;
		g_atomic_int_inc(&command->completed);
	}
	pthread_cond_broadcast(&dev->changed);
	pthread_mutex_unlock(&dev->lock);
}

void tcmulib_processing_complete(Dev *dev)
{
	CHECK(!g_atomic_int_get(&dev->gone));
	tell_kernel(dev);
}

/* Puts the completion into the ring, and frees the command's memory. */
static void put_into_ring(Wrapped *wrapped, int status)
{
	Command *command = wrapped->command;

	command->status = status_to_scsi(status, wrapped->lib.sense_buf);
	if (command->status == STS_SENSE)
		memcpy(command->sense, wrapped->lib.sense_buf, sizeof command->sense);
	pthread_mutex_lock(&command->dev->lock);
	command->next = command->dev->told_late;
	command->dev->told_late = command;
	pthread_mutex_unlock(&command->dev->lock);
	free(wrapped);
}

static gboolean finish_one(Dev *dev)
{
	gboolean idle;

	pthread_mutex_lock(&dev->lock);
	idle = --dev->in_flight == 0;
	CHECK(dev->in_flight >= 0);
	pthread_cond_broadcast(&dev->changed);
	pthread_mutex_unlock(&dev->lock);
	return idle;
}

/* Completes a command that the plugin had queued. */
static void complete(Dev *dev, struct tcmulib_cmd *lib, int status)
{
	Wrapped *wrapped = (Wrapped *)lib;
	Command *command = wrapped->command;
	gboolean idle;

	CHECK(command->dev == dev);
	command->by = g_thread_self();
	command->status = status_to_scsi(status, lib->sense_buf);
	if (command->done && command->done(command))
		return;
	if (TELLS_WHEN_IDLE) {
		idle = finish_one(dev);
		g_usleep(100); /* from here on, only the plugin's close() must keep the device from
				  being freed */
		put_into_ring(wrapped, status);
		if (idle)
			tell_kernel(dev);
	} else {
		put_into_ring(wrapped, status);
		tell_kernel(dev);
		finish_one(dev);
	}
	CHECK(!g_atomic_int_get(&dev->gone));
}

#if GENERATION >= 'E'
/* Copies the pointer, because `cmd` may be unaligned. */
static struct tcmulib_cmd *lib_of(const void *cmd)
{
	struct tcmulib_cmd *lib;

	memcpy(&lib, cmd, sizeof lib);
	return lib;
}

static void plain_done(Dev *dev, struct tcmur_cmd *cmd, int status)
{
	complete(dev, lib_of(cmd), status);
}

static void set_done(struct tcmulib_cmd *lib)
{
	void (*done)(Dev *, struct tcmur_cmd *, int) = plain_done;

	memcpy((char *)lib->hm_private + offsetof(struct tcmur_cmd, done), &done, sizeof done);
}

void host_cmd_complete(Dev *dev, void *cmd, int status)
{
	void (*done)(Dev *, struct tcmur_cmd *, int);

	memcpy(&done, (char *)cmd + offsetof(struct tcmur_cmd, done), sizeof done);
	if (CHECK(done != NULL))
		done(dev, cmd, status);
}

static runner_cmd *handle_of(struct tcmulib_cmd *lib)
{
	return lib->hm_private;
}
#else
static void set_done(struct tcmulib_cmd *lib)
{
	lib->done = complete;
}

static runner_cmd *handle_of(struct tcmulib_cmd *lib)
{
	return lib;
}
#endif

/* ---- dispatch */

static gsize cdb_length(guint8 opcode)
{
	static const guint8 lengths[] = {6, 10, 10, 16, 16, 12, 16, 16};

	return lengths[opcode >> 5];
}

static Wrapped *wrap(Command *command)
{
	gsize vector = command->iov_cnt * sizeof(struct iovec), cdb = cdb_length(command->cdb[0]);
	Wrapped *wrapped = malloc(sizeof *wrapped + vector + cdb + TCMUR_CMD_SIZE);
	struct tcmulib_cmd *lib = &wrapped->lib;

	memset(lib, 0xee, sizeof *lib);
	lib->iovec = wrapped->iov;
	lib->iov_cnt = command->iov_cnt;
	memcpy(lib->iovec, command->iov, vector);
	lib->cdb = (guint8 *)wrapped->iov + vector;
	memcpy(lib->cdb, command->cdb, cdb);
#if GENERATION >= 'E'
	lib->hm_private = lib->cdb + cdb;
	memset(lib->hm_private, 0, TCMUR_CMD_SIZE);
	memcpy(lib->hm_private, &(void *){lib}, sizeof(void *));
#else
	lib->done = NULL;
#endif
	wrapped->command = command;
	command->wrapped = wrapped;
	return wrapped;
}

static guint64 cdb_lba(const guint8 *cdb)
{
	switch (cdb[0] >> 5) {
	case 0:
		return get_be(cdb + 1, 3) & 0x1fffff;
	case 4:
		return get_be(cdb + 2, 8);
	default:
		return get_be(cdb + 2, 4);
	}
}

static int transfer(Dev *dev, struct tcmulib_cmd *lib, rw_fn function)
{
	guint64 lba = cdb_lba(lib->cdb);
	off_t offset = (off_t)(lba * dev->block_size);
	gsize length = iov_length(lib->iovec, (int)lib->iov_cnt);

	if (lba + length / dev->block_size > dev_blocks(dev))
		return refuse(lib->sense_buf, 0x5, 0x21, 0x00);
	set_done(lib);
	return function(dev, handle_of(lib), lib->iovec, lib->iov_cnt, length, offset);
}

/* Commands that the runner turns into a read, a write or a flush.  0: queued. */
static int data_path(Dev *dev, struct tcmulib_cmd *lib)
{
	switch (lib->cdb[0]) {
	case 0x08: /* READ */
	case 0x28:
	case 0xa8:
	case 0x88:
		return transfer(dev, lib, host_handler->read);
	case 0x0a: /* WRITE */
	case 0x2a:
	case 0xaa:
	case 0x8a:
	case 0x04: /* FORMAT UNIT, EXTENDED COPY, WRITE AND VERIFY: only their first step */
	case 0x83:
	case 0x2e:
	case 0xae:
	case 0x8e:
		return transfer(dev, lib, host_handler->write);
	case 0x35: /* SYNCHRONIZE CACHE */
	case 0x91:
		set_done(lib);
		return host_handler->flush(dev, handle_of(lib));
	default:
		return NOT_HANDLED;
	}
}

/* *ret_queued: the command will be completed later.  Otherwise returns its status. */
static int generic_handle(Dev *dev, struct tcmulib_cmd *lib, gboolean *ret_queued)
{
	gboolean recovering = g_atomic_int_get(&dev->recovering);
	int status;

	if (lib->cdb[0] != 0x12 && lib->cdb[0] != 0x03 &&
	    g_atomic_int_compare_and_exchange(&dev->unit_attention, TRUE, FALSE))
		return unit_attention(lib->sense_buf);
	if (recovering && REFUSES_AT_ONCE)
		return IS_BUSY;
	status = host_handler->handle_cmd(dev, handle_of(lib));
	CHECK(status != ASYNC_HANDLED); /* the real runner would crash */
	if (status != NOT_HANDLED)
		return status;
	if (lib->cdb[0] == 0x00 || lib->cdb[0] == 0x12)
		return 0; /* TEST UNIT READY, INQUIRY */
	if (recovering)
		return IS_BUSY;
	status = data_path(dev, lib);
	*ret_queued = status == 0;
	return status;
}

gboolean command_dispatch(Command *command)
{
	Dev *dev = command->dev;
	Wrapped *wrapped = wrap(command);
	gboolean queued = FALSE;
	int status;

	pthread_mutex_lock(&dev->lock);
	dev->in_flight++;
	pthread_mutex_unlock(&dev->lock);
	status = generic_handle(dev, &wrapped->lib, &queued);
	CHECK(!dev->runners_own);
	if (queued)
		return TRUE;
	command->by = g_thread_self();
	put_into_ring(wrapped, status);
	tell_kernel(dev);
	finish_one(dev);
	return FALSE;
}

void command_next_write(Command *command, guint64 offset)
{
	struct tcmulib_cmd *lib = command->wrapped;
	gsize length = iov_length(lib->iovec, (int)lib->iov_cnt);

	CHECK_INT(host_handler->write(command->dev, handle_of(lib), lib->iovec, lib->iov_cnt,
				      length, (off_t)offset),
		  0);
}

/* ---- devices */

static void unlock(void *lock)
{
	pthread_mutex_unlock(lock);
}

/* Waits for a command.  This wait is the thread's only cancellation point. */
static Command *next_command(Dev *dev)
{
	Command *command;

	pthread_mutex_lock(&dev->lock);
	pthread_cleanup_push(unlock, &dev->lock);
	while (!dev->queue)
		pthread_cond_wait(&dev->changed, &dev->lock);
	command = dev->queue;
	dev->queue = command->next;
	pthread_cleanup_pop(TRUE);
	return command;
}

static void *dispatch_thread(void *data)
{
	while (TRUE)
		command_dispatch(next_command(data));
	return NULL;
}

/* Generation C calls open() without the second argument, which is then whatever the register held.
 */
static int call_open(Dev *dev)
{
#if GENERATION == 'C'
	int (*open)(Dev *, guint64) = NULL;

	memcpy(&open, &host_handler->open, sizeof open);
	return open(dev, 0xdeadbeef);
#else
	return host_handler->open(dev, false);
#endif
}

void (*host_own_calls)(gboolean begin);

int dev_add(Dev *dev)
{
	g_autofree char *reason = NULL;
	int result;

	pthread_mutex_init(&dev->lock, NULL);
	pthread_cond_init(&dev->changed, NULL);
	dev->unmap_gran_align = 0;
	if (!host_handler->check_config(dev->cfgstring, &reason)) {
		CHECK(reason != NULL);
		return -EINVAL;
	}
	result = call_open(dev);
	CHECK(result <= 0);
	if (result)
		return result;
	if (SETS_GRANULARITY_LATE) {
		dev->opt_unmap_gran = dev->max_xfer_len;
		dev->unmap_gran_align = 0;
	}
	if (host_own_calls)
		host_own_calls(TRUE);
	CHECK(!pthread_create(&dev->thread, NULL, dispatch_thread, dev));
	if (host_own_calls)
		host_own_calls(FALSE);
	pthread_setname_np(dev->thread, HOST_THREAD);
	return 0;
}

void dev_remove(Dev *dev)
{
	struct timespec end = deadline();

	pthread_mutex_lock(&dev->lock);
	while (dev->in_flight || dev->queue)
		wait_for_change(dev, &end);
	pthread_mutex_unlock(&dev->lock);
	pthread_cancel(dev->thread);
	pthread_join(dev->thread, NULL);
	host_handler->close(dev);
	CHECK(!dev->private_data);
	CHECK(!dev->told_late);
	g_atomic_int_set(&dev->gone, TRUE);
	pthread_mutex_destroy(&dev->lock);
	pthread_cond_destroy(&dev->changed);
}

int dev_reconfig(Dev *dev, int type, const char *cfgstring, guint64 size)
{
	struct tcmulib_cfg_info change = {.type = (enum tcmulib_cfg_type)type};
	int result;

	if (type == TCMULIB_CFG_DEV_CFGSTR)
		change.data.dev_cfgstring = (char *)cfgstring;
	else if (type == TCMULIB_CFG_DEV_SIZE)
		change.data.dev_size = size;
	else if (type == TCMULIB_CFG_WRITE_CACHE)
		change.data.write_cache = size != 0;
	if (type == TCMULIB_CFG_DEV_SIZE && dev_blocks(dev) * dev->block_size == size)
		return 0;
	result = host_handler->reconfig(dev, &change);
	if (!result && type == TCMULIB_CFG_DEV_SIZE) {
		dev_set_blocks(dev, size / dev->block_size);
		g_atomic_int_set(&dev->unit_attention, TRUE);
	}
	return result;
}

/* ---- the queue */

void command_begin(Command *command)
{
	Dev *dev = command->dev;
	Command **last = &dev->queue;

	command->next = NULL;
	g_atomic_int_set(&command->completed, 0);
	pthread_mutex_lock(&dev->lock);
	while (*last)
		last = &(*last)->next;
	*last = command;
	pthread_cond_broadcast(&dev->changed);
	pthread_mutex_unlock(&dev->lock);
}

int command_wait(Command *command)
{
	struct timespec end = deadline();
	Dev *dev = command->dev;
	int status;

	pthread_mutex_lock(&dev->lock);
	while (!g_atomic_int_get(&command->completed))
		wait_for_change(dev, &end);
	status = command->status;
	pthread_mutex_unlock(&dev->lock);
	return status;
}
