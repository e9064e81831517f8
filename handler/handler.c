/* SPDX-License-Identifier: Apache-2.0 */
/*
 * handler_storageos.so: the plugin that lets tcmu-runner serve volumes.
 *
 * The runner calls in from one thread for each device, and from whichever thread completes a
 * command (the next step of compound ones).  All that a callback does is to queue: nothing here
 * waits for a disk but opening and closing.  device.h tells what happens then, runner-abi.h what
 * the versions of the runner differ in.
 *
 * This process belongs to others.  So: no exit, no abort, no allocation that aborts and is sized by
 * input, no signal or exit handler, no g_log(); no environment is changed.
 *
 *     command                          callback    becomes
 *     READ, the read of compound ones  read        read
 *     WRITE (FUA: then a flush)        write       write
 *     FORMAT UNIT                      write       zero: the space of the volume goes back
 *     SYNCHRONIZE CACHE                execute     flush
 *     UNMAP                            execute     discards
 *     WRITE SAME                       execute     zero, or writes of the pattern
 *     COMPARE AND WRITE                execute     compare and write, atomic against all else
 */
#include <errno.h>
#include <string.h>

#include "common/bytes.h"
#include "common/error.h"
#include "common/logging.h"
#include "common/units.h"
#include "handler/cfgstring.h"
#include "handler/device.h"
#include "handler/sense.h"

#define EXPORT __attribute__((visibility("default")))

#define CDB_FORMAT_UNIT 0x04
#define CDB_WRITE_10 0x2a
#define CDB_SYNCHRONIZE_CACHE_10 0x35
#define CDB_WRITE_AND_VERIFY_10 0x2e
#define CDB_WRITE_SAME_10 0x41
#define CDB_UNMAP 0x42
#define CDB_COMPARE_AND_WRITE 0x89
#define CDB_WRITE_16 0x8a
#define CDB_WRITE_AND_VERIFY_16 0x8e
#define CDB_SYNCHRONIZE_CACHE_16 0x91
#define CDB_WRITE_SAME_16 0x93
#define CDB_WRITE_12 0xaa
#define CDB_WRITE_AND_VERIFY_12 0xae
#define CDB_FUA 0x08
#define CDB_PROTECT 0xe0
#define CDB_ANCHOR 0x10
#define CDB_NO_DATA 0x01

/* What a transfer may be, where the device was left at the kernel's default: 64 KiB is too little
 * to be fast. */
#define TRANSFER_BYTES (1u << 20)
#define KERNEL_TRANSFER_BLOCKS 128

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

static RunnerStatus submit(RunnerDevice *dev, RunnerCommand *cmd, const Request *request)
{
	return device_submit(runner_device_private(dev), cmd, request);
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

static RunnerStatus handle_read(RunnerDevice *dev, RunnerCommand *cmd, struct iovec *iov,
				size_t count, size_t length, off_t offset)
{
	const Request request = {.kind = REQUEST_READ,
				 .iov = iov,
				 .count = count,
				 .offset = (guint64)offset,
				 .length = length};

	return submit(dev, cmd, &request);
}

static RunnerStatus handle_write(RunnerDevice *dev, RunnerCommand *cmd, struct iovec *iov,
				 size_t count, size_t length, off_t offset)
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

/* What the runner carries out wrong, or not without waiting, is ours. */
static RunnerStatus handle_command(RunnerDevice *dev, RunnerCommand *cmd)
{
	(void)dev;
	switch (runner_command_cdb(cmd)[0]) {
	case CDB_SYNCHRONIZE_CACHE_10:
	case CDB_SYNCHRONIZE_CACHE_16:
	case CDB_UNMAP:
	case CDB_WRITE_SAME_10:
	case CDB_WRITE_SAME_16:
	case CDB_COMPARE_AND_WRITE:
		return RUNNER_LATER;
	default:
		return RUNNER_NOT_HANDLED;
	}
}

static RunnerStatus refuse(RunnerCommand *cmd, SenseCode code)
{
	return sense_set(runner_command_sense(cmd), code, NULL);
}

static RunnerStatus submit_range(RunnerDevice *dev, RunnerCommand *cmd, Request *request,
				 guint64 lba, guint64 blocks)
{
	guint64 all = runner_device_blocks(dev);

	if (lba > all || blocks > all - lba)
		return refuse(cmd, sense_out_of_range);
	request->offset = lba * request->block_size;
	request->length = blocks * request->block_size;
	return submit(dev, cmd, request);
}

static RunnerStatus execute_unmap(RunnerDevice *dev, RunnerCommand *cmd, Request *request)
{
	request->kind = REQUEST_UNMAP;
	if (runner_command_cdb(cmd)[1] & CDB_NO_DATA) /* the bit ANCHOR */
		return refuse(cmd, sense_invalid_cdb);
	if (!request_unmap_is_valid(request))
		return refuse(cmd, sense_invalid_parameter_list);
	return submit(dev, cmd, request);
}

/* The bit UNMAP changes nothing: what is zero takes no space anyway. */
static RunnerStatus execute_write_same(RunnerDevice *dev, RunnerCommand *cmd, Request *request)
{
	const guint8 *cdb = runner_command_cdb(cmd);
	gboolean longer = cdb[0] == CDB_WRITE_SAME_16;
	guint64 blocks = longer ? get_be(cdb + 10, 4) : get_be(cdb + 7, 2);

	request->kind = REQUEST_WRITE_SAME;
	if (cdb[1] & (CDB_PROTECT | CDB_ANCHOR | CDB_NO_DATA) || !blocks ||
	    iov_length(request->iov, (int)request->count) != request->block_size)
		return refuse(cmd, sense_invalid_cdb);
	return submit_range(dev, cmd, request, get_be(cdb + 2, longer ? 8 : 4), blocks);
}

/* The engine's is atomic against every other request; the runner's own would hold a lock of the
 * whole device, in the one thread that takes commands in. */
static RunnerStatus execute_compare(RunnerDevice *dev, RunnerCommand *cmd, Request *request)
{
	const guint8 *cdb = runner_command_cdb(cmd);
	guint64 blocks = cdb[13];

	request->kind = REQUEST_COMPARE_AND_WRITE;
	request->durable = cdb_durable(cdb);
	if (cdb[1] & CDB_PROTECT ||
	    iov_length(request->iov, (int)request->count) != 2 * blocks * request->block_size)
		return refuse(cmd, sense_invalid_cdb);
	return submit_range(dev, cmd, request, get_be(cdb + 2, 8), blocks);
}

static RunnerStatus handle_execute(RunnerDevice *dev, RunnerCommand *cmd)
{
	Request request = {.kind = REQUEST_FLUSH, .block_size = runner_device_block_size(dev)};

	request.iov = runner_command_data(cmd, &request.count);
	switch (runner_command_cdb(cmd)[0]) {
	case CDB_UNMAP:
		return execute_unmap(dev, cmd, &request);
	case CDB_WRITE_SAME_10:
	case CDB_WRITE_SAME_16:
		return execute_write_same(dev, cmd, &request);
	case CDB_COMPARE_AND_WRITE:
		return execute_compare(dev, cmd, &request);
	default:
		return submit(dev, cmd, &request); /* SYNCHRONIZE CACHE */
	}
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
	.command = handle_command,
	.execute = handle_execute,
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
