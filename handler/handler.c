/* SPDX-License-Identifier: Apache-2.0 */
/*
 * handler_storageos.so: the plugin that lets tcmu-runner serve volumes.
 *
 * The runner calls in from one thread for each device, and from whichever thread completes a
 * command (the next step of compound ones).  All that a callback does is to queue: nothing here
 * waits for a disk but opening, closing, and WRITE SAME with the UNMAP bit.  device.h tells what
 * happens then, runner-abi.h what the versions of the runner differ in.
 *
 * This process belongs to others.  So: no exit, no abort, no allocation that aborts and is sized by
 * input, no signal or exit handler, no g_log(); no environment is changed.
 *
 *     command                          callback    becomes
 *     READ, the read of compound ones  read        read
 *     WRITE (FUA: then a flush)        write       write
 *     FORMAT UNIT                      write       zero: the space of the volume goes back
 *     SYNCHRONIZE CACHE                flush       flush
 *     UNMAP                            unmap       discard
 *     WRITE SAME                       write_same  zero, or writes of the pattern
 *     WRITE SAME, UNMAP bit            unmap       the same, at once
 *     COMPARE AND WRITE                caw         compare and write, atomic against all else
 */
#include <pthread.h>
#include <errno.h>
#include <string.h>

#include "common/error.h"
#include "common/logging.h"
#include "common/units.h"
#include "handler/cfgstring.h"
#include "handler/device.h"

#define EXPORT __attribute__((visibility("default")))

#define CDB_FORMAT_UNIT 0x04
#define CDB_WRITE_10 0x2a
#define CDB_WRITE_AND_VERIFY_10 0x2e
#define CDB_WRITE_SAME_10 0x41
#define CDB_COMPARE_AND_WRITE 0x89
#define CDB_WRITE_16 0x8a
#define CDB_WRITE_AND_VERIFY_16 0x8e
#define CDB_WRITE_SAME_16 0x93
#define CDB_WRITE_12 0xaa
#define CDB_WRITE_AND_VERIFY_12 0xae
#define CDB_FUA 0x08

/* What a transfer may be, where the device was left at the kernel's default: 64 KiB is too little
 * to be fast. */
#define TRANSFER_BYTES (1u << 20)
#define KERNEL_TRANSFER_BLOCKS 128

/* A device's thread is cancelled when the device goes away; not while it holds our locks.  Lives
 * as long as the variable of this type. */
typedef int CancelGuard;

static CancelGuard cancel_guard(void)
{
	int before;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
	return before;
}

static void cancel_guard_clear(CancelGuard *guard)
{
	pthread_setcancelstate(*guard, NULL);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CancelGuard, cancel_guard_clear)

/* ---- devices */

/* Any local user may ask for this, over D-Bus, and the runner's main thread answers as root: so it
 * looks at nothing but the text.  The runner releases *reason with free(). */
static bool handle_check_config(const char *cfgstring, char **reason)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(CfgString) parsed = cfgstring_parse(cfgstring, &error);

	if (!parsed)
		*reason = strdup(error ? error->message : "not a valid cfgstring");
	return parsed != NULL;
}

static void set_limits(RunnerDevice *dev, guint32 block_size)
{
	RunnerLimits limits = {.unmap_granularity = BLOCK_SIZE / block_size};

	if (runner_device_max_transfer(dev) == KERNEL_TRANSFER_BLOCKS)
		limits.max_transfer = TRANSFER_BYTES / block_size;
	runner_device_set_limits(dev, &limits);
}

/* Runs in the main thread, on which the kernel's netlink and D-Bus wait: an open takes as long as
 * the volume's recovery and no longer.  Never a positive result: versions before 1.3 would take it
 * for success. */
static int handle_open(RunnerDevice *dev, bool reopen)
{
	g_autoptr(GError) error = NULL;
	const char *cfgstring = runner_device_cfgstring(dev);
	guint32 block_size = runner_device_block_size(dev);
	const OpeningDevice opening = {.cfgstring = cfgstring,
				       .size = runner_device_blocks(dev) * block_size,
				       .block_size = block_size,
				       .served_before = reopen || runner_device_served_before(dev)};
	Device *device;

	if (block_size != 512 && block_size != BLOCK_SIZE) {
		log_error("open %s: block size %u is neither 512 nor 4096", cfgstring, block_size);
		return -EINVAL;
	}
	device = device_open(dev, &opening, &error);
	if (!device) {
		log_error("open %s: %s", cfgstring, error ? error->message : "failed");
		return -error_to_errno(error);
	}
	set_limits(dev, block_size); /* what is set before open returns stays */
	/* Initiators would not flush otherwise: there is no cache unless the handler says so. */
	runner_device_set_write_cache(dev);
	runner_device_set_private(dev, device);
	log_info("%s: open", cfgstring);
	return 0;
}

static void handle_close(RunnerDevice *dev)
{
	Device *device = runner_device_private(dev);

	runner_device_set_private(dev, NULL);
	device_close(device);
}

/* restoreconfig sets every attribute that was saved, this one included. */
static gboolean names_same_volume(const char *one, const char *other)
{
	g_autoptr(CfgString) a = cfgstring_parse(one, NULL);
	g_autoptr(CfgString) b = cfgstring_parse(other, NULL);

	return a && b && !g_strcmp0(a->volume->pool, b->volume->pool) &&
	       !strcmp(a->volume->name, b->volume->name);
}

/* Called in the main thread while commands run. */
static int handle_reconfig(RunnerDevice *dev, const RunnerReconfig *change)
{
	switch (change->kind) {
	case RUNNER_RECONFIG_WRITE_CACHE:
		/* The kernel's attribute is 0 from the start, whatever we tell initiators, and
		 * restoreconfig sets what was saved: taken at its word, each restored device would
		 * flush after every write.  So there is always a cache, and initiators flush it. */
		if (!change->value.write_cache)
			log_info("%s: the write cache stays on; initiators flush it",
				 runner_device_cfgstring(dev));
		return 0;
	case RUNNER_RECONFIG_STRING:
		return names_same_volume(runner_device_cfgstring(dev), change->value.string)
			       ? 0
			       : -EOPNOTSUPP;
	case RUNNER_RECONFIG_SIZE:
		log_error("%s: a size cannot be changed while the device is there",
			  runner_device_cfgstring(dev));
		return -EOPNOTSUPP;
	default:
		return -EOPNOTSUPP;
	}
}

/* ---- commands */

static int submit(RunnerDevice *dev, RunnerCommand *cmd, const Request *request)
{
	G_GNUC_UNUSED g_auto(CancelGuard) guard = cancel_guard();

	return (int)device_submit(runner_device_private(dev), cmd, request);
}

/* Whether what a CDB writes must be on the disk when it is answered.  The runner leaves FUA to the
 * handler.  (The same bit means UNMAP in a WRITE SAME and is part of the LBA in a WRITE(6).) */
static gboolean cdb_durable(const guint8 *cdb)
{
	switch (cdb[0]) {
	case CDB_WRITE_10:
	case CDB_WRITE_12:
	case CDB_WRITE_16:
	case CDB_COMPARE_AND_WRITE:
		return (cdb[1] & CDB_FUA) != 0;
	case CDB_WRITE_AND_VERIFY_10:
	case CDB_WRITE_AND_VERIFY_12:
	case CDB_WRITE_AND_VERIFY_16:
		return TRUE; /* what is verified is the medium */
	default:
		return FALSE;
	}
}

static int handle_read(RunnerDevice *dev, RunnerCommand *cmd, struct iovec *iov, size_t count,
		       size_t length, off_t offset)
{
	const Request request = {.kind = REQUEST_READ,
				 .iov = iov,
				 .count = count,
				 .offset = (guint64)offset,
				 .length = length};

	return submit(dev, cmd, &request);
}

static int handle_write(RunnerDevice *dev, RunnerCommand *cmd, struct iovec *iov, size_t count,
			size_t length, off_t offset)
{
	const guint8 *cdb = runner_command_cdb(cmd);
	/* The runner formats by writing zeros to all of the device, from end to end. */
	RequestKind kind = cdb[0] == CDB_FORMAT_UNIT ? REQUEST_ZERO : REQUEST_WRITE;
	const Request request = {.kind = kind,
				 .durable = cdb_durable(cdb),
				 .iov = iov,
				 .count = count,
				 .offset = (guint64)offset,
				 .length = length};

	return submit(dev, cmd, &request);
}

static int handle_flush(RunnerDevice *dev, RunnerCommand *cmd)
{
	const Request request = {.kind = REQUEST_FLUSH};

	return submit(dev, cmd, &request);
}

/* A WRITE SAME whose UNMAP bit is set comes as an unmap, and so without its data.  The promise that
 * the range then reads as that data is kept here, and as the runner drops what is reported later
 * than at once, it is carried out at once. */
static int write_same_unmap(RunnerDevice *dev, RunnerCommand *cmd, guint64 offset, guint64 length)
{
	G_GNUC_UNUSED g_auto(CancelGuard) guard = cancel_guard();
	gsize count;
	const struct iovec *iov = runner_command_data(cmd, &count);
	const Request request = {.kind = REQUEST_WRITE_SAME,
				 .iov = iov,
				 .count = count,
				 .offset = offset,
				 .length = length};

	return (int)device_run(runner_device_private(dev), cmd, &request);
}

/* The runner (E to G) answers an UNMAP with GOOD whatever its descriptors are completed with, and
 * handle_cmd cannot take it over, as that must answer at once.  What fails is logged; on a volume
 * that has failed, it is refused here, where the runner still listens. */
static int handle_unmap(RunnerDevice *dev, RunnerCommand *cmd, guint64 offset, guint64 length)
{
	const guint8 *cdb = runner_command_cdb(cmd);
	const Request request = {.kind = length ? REQUEST_DISCARD : REQUEST_NOTHING,
				 .offset = offset,
				 .length = length};

	if (cdb[0] == CDB_WRITE_SAME_10 || cdb[0] == CDB_WRITE_SAME_16)
		return write_same_unmap(dev, cmd, offset, length);
	if (device_failed(runner_device_private(dev)))
		return RUNNER_HARDWARE_ERROR;
	return submit(dev, cmd, &request);
}

static int handle_write_same(RunnerDevice *dev, RunnerCommand *cmd, guint64 offset, guint64 length,
			     struct iovec *iov, size_t count)
{
	const Request request = {.kind = REQUEST_WRITE_SAME,
				 .iov = iov,
				 .count = count,
				 .offset = offset,
				 .length = length};

	return submit(dev, cmd, &request);
}

/* The engine's is atomic against every other request; the runner's own would hold a lock of the
 * whole device, in the one thread that takes commands in. */
static int handle_compare_and_write(RunnerDevice *dev, RunnerCommand *cmd, guint64 offset,
				    guint64 length, struct iovec *iov, size_t count)
{
	const Request request = {.kind = REQUEST_COMPARE_AND_WRITE,
				 .durable = cdb_durable(runner_command_cdb(cmd)),
				 .iov = iov,
				 .count = count,
				 .offset = offset,
				 .length = length};

	return submit(dev, cmd, &request);
}

static const RunnerCallbacks callbacks = {
	.name = "StorageOS block volumes",
	.subtype = CFGSTRING_SUBTYPE,
	.description = "[POOL/]NAME[;create]: a volume of a pool; with ;create it is made, thin, "
		       "of the size given here, if it is not there",
	.check_config = handle_check_config,
	.reconfig = handle_reconfig,
	.open = handle_open,
	.close = handle_close,
	.read = handle_read,
	.write = handle_write,
	.flush = handle_flush,
	.unmap = handle_unmap,
	.write_same = handle_write_same,
	.compare_and_write = handle_compare_and_write,
};

/* The one exported symbol.  The runner skips a plugin for which this is not 0, and never unloads
 * one. */
EXPORT int handler_init(void);

int handler_init(void)
{
	g_autoptr(GError) error = NULL;

	if (runner_abi_register(&callbacks, &error))
		return 0;
	log_error("handler_storageos.so: %s", error ? error->message : "cannot register");
	return -1;
}
