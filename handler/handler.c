/* SPDX-License-Identifier: Apache-2.0 */
/*
 * handler_storageos.so: the plugin that lets tcmu-runner serve volumes.
 *
 * The runner calls in from one thread for each device, and from whichever thread completes a
 * command (the next step of compound ones).  All that a callback does is to queue: nothing here
 * waits for a disk but opening and closing, and these only for a while.  device.h tells what
 * happens then, runner-abi.h what the versions of the runner differ in.
 *
 * This process belongs to others.  So: no exit, no abort, no allocation that aborts and is sized by
 * input, no signal or exit handler, no g_log(); no environment is changed.
 *
 * What a command asks for is scsi.h's to know; plain reads and writes are left to the runner, which
 * calls back for them.
 */
#include <errno.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/logging.h"
#include "common/base/text.h"
#include "common/base/units.h"
#include "handler/cfgstring.h"
#include "handler/device.h"
#include "handler/flusher.h"
#include "handler/timeout.h"

#define EXPORT __attribute__((visibility("default")))

/* What a transfer may be, where the device was left at the kernel's default: 64 KiB is too little
 * to be fast. */
#define TRANSFER_BYTES (1u << 20)
#define KERNEL_TRANSFER_BLOCKS 128

/* ---- devices */

/* Any local user may ask for this, over D-Bus, and the runner's main thread answers as root: so it
 * looks at nothing but the text and the configuration.  The runner asks once more for each device
 * that it is given, and leaves one that is refused without an answer to initiators: that is for
 * open to refuse.  The runner releases *reason with free(). */
static bool handle_check_config(const char *cfgstring, char **reason)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(CfgString) parsed = cfgstring_parse(cfgstring, &error);
	g_autofree char *printable = NULL;

	if (parsed && (opening_check(parsed, &error) || runner_is_given(cfgstring)))
		return true;
	printable = text_printable(error ? error->message : "not a valid cfgstring");
	*reason = strdup(printable); /* of anything but UTF-8 D-Bus would make "[Invalid UTF-8]" */
	return false;
}

static void device_set_limits(RunnerDevice *dev, guint32 block_size)
{
	RunnerLimits limits = {.unmap_granularity = BLOCK_SIZE / block_size};

	if (runner_device_max_transfer(dev) == KERNEL_TRANSFER_BLOCKS)
		limits.max_transfer = TRANSFER_BYTES / block_size;
	runner_device_set_limits(dev, &limits);
}

static void device_disable_timeout(RunnerDevice *dev)
{
	g_autofree char *directory = runner_device_directory(dev);

	timeout_disable(directory);
}

/* Hands a device that serves commands to the runner, with its limits.  (In generation C the runner
 * sets some of them again after open.) */
static void device_publish(RunnerDevice *dev, Device *device, gboolean served_before)
{
	if (!served_before)
		device_disable_timeout(dev);
	device_set_limits(dev, runner_device_block_size(dev));
	device_unit(device)->max_transfer = runner_device_max_transfer(dev);
	/* The runner reports no write cache unless the handler says so, and without one initiators
	 * would never flush. */
	runner_device_set_write_cache(dev);
	runner_device_set_private(dev, device);
}

/* Runs in the main thread, on which the kernel's netlink and D-Bus wait: an open takes as long as
 * the volume's recovery, and where that is too long it goes on aside.  Never a positive result:
 * versions before 1.3 would take it for success. */
static int handle_open(RunnerDevice *dev, bool reopen)
{
	g_autoptr(GError) error = NULL;
	const char *cfgstring = runner_device_cfgstring(dev);
	guint32 block_size = runner_device_block_size(dev);
	g_autofree char *directory = runner_device_directory(dev);
	g_autofree char *backstore = directory ? g_path_get_basename(directory) : NULL;
	const OpeningDevice opening = {.cfgstring = cfgstring,
				       .backstore = backstore,
				       .size = runner_device_blocks(dev) * block_size,
				       .block_size = block_size,
				       .served_before = reopen || runner_device_served_before(dev)};
	Device *device = NULL;

	if (block_size != 512 && block_size != BLOCK_SIZE) {
		log_error("open %s: block size %u is neither 512 nor 4096", cfgstring, block_size);
		return -EINVAL;
	}
	switch (device_open(dev, &opening, &device, &error)) {
	case DEVICE_REFUSED:
		log_error("open %s: %s", cfgstring, error ? error->message : "failed");
		return -error_to_errno(error);
	case DEVICE_READY:
		log_info("%s: open", cfgstring);
		break;
	case DEVICE_WAITING:
	case DEVICE_LOST:
		break; /* logged already */
	}
	device_publish(dev, device, opening.served_before);
	return 0;
}

static void handle_close(RunnerDevice *dev)
{
	Device *device = runner_device_private(dev);

	runner_device_set_private(dev, NULL);
	device_close(device);
}

/* As any attribute.  The kernel has the new size when the answer is 0, and the runner tells
 * initiators. */
static int device_resize_to(RunnerDevice *dev, guint64 size)
{
	Device *device = runner_device_private(dev);
	g_autoptr(GError) error = NULL;

	if (!device)
		return -EBUSY;
	if (device_resize(device, size, &error)) {
		log_info("%s: has %" G_GUINT64_FORMAT " bytes now", runner_device_cfgstring(dev),
			 scsi_unit_blocks(device_unit(device)) * device_unit(device)->block_size);
		return 0;
	}
	log_error("%s: it does not get %" G_GUINT64_FORMAT " bytes: %s",
		  runner_device_cfgstring(dev), size, error ? error->message : "failed");
	return -error_to_errno(error);
}

/* restoreconfig sets every attribute that was saved, this one included. */
static gboolean cfgstrings_name_same_volume(const char *one, const char *other)
{
	g_autoptr(CfgString) a = cfgstring_parse(one, NULL);
	g_autoptr(CfgString) b = cfgstring_parse(other, NULL);

	return a && b && !g_strcmp0(a->volume->pool, b->volume->pool) &&
	       !strcmp(a->volume->name, b->volume->name);
}

/* There is always a cache, and MODE SENSE says so.  The kernel's attribute is 0 from the start,
 * whatever we tell initiators, and restoreconfig sets what was saved, before anybody uses the
 * device: refused, each restore would end with an error, and taken at its word, each restored
 * device would flush after every write.  Who sets it later means it, and is told that it is not so.
 */
static int device_set_write_cache(RunnerDevice *dev, bool on)
{
	Device *device = runner_device_private(dev);
	const char *name = runner_device_cfgstring(dev);

	if (on)
		return 0;
	if (!device || !device_is_in_use(device)) {
		log_info("%s: the write cache is on whatever the attribute says; initiators flush "
			 "it",
			 name);
		return 0;
	}
	log_error("%s: the write cache cannot be turned off: initiators flush it, or set FUA",
		  name);
	return -EOPNOTSUPP;
}

/* Called in the main thread while commands run. */
static int handle_reconfig(RunnerDevice *dev, const RunnerReconfig *change)
{
	switch (change->kind) {
	case RUNNER_RECONFIG_WRITE_CACHE:
		return device_set_write_cache(dev, change->value.write_cache);
	case RUNNER_RECONFIG_STRING:
		return cfgstrings_name_same_volume(runner_device_cfgstring(dev),
						   change->value.string)
			       ? 0
			       : -EOPNOTSUPP;
	case RUNNER_RECONFIG_SIZE:
		return device_resize_to(dev, change->value.size);
	default:
		return -EOPNOTSUPP;
	}
}

/* ---- commands */

static RunnerStatus request_submit(RunnerDevice *dev, RunnerCommand *cmd, const Request *request)
{
	return device_submit(runner_device_private(dev), cmd, request);
}

static RunnerStatus handle_read(RunnerDevice *dev, RunnerCommand *cmd, struct iovec *iov,
				size_t count, size_t length, off_t offset)
{
	const Request request = {.kind = REQUEST_READ,
				 .iov = iov,
				 .count = count,
				 .offset = (guint64)offset,
				 .length = length};

	return request_submit(dev, cmd, &request);
}

static RunnerStatus handle_write(RunnerDevice *dev, RunnerCommand *cmd, struct iovec *iov,
				 size_t count, size_t length, off_t offset)
{
	const Request request = {.kind = REQUEST_WRITE,
				 .iov = iov,
				 .count = count,
				 .offset = (guint64)offset,
				 .length = length};

	return request_submit(dev, cmd, &request);
}

static RunnerStatus command_parse(Device *device, RunnerCommand *cmd, Request *ret_request)
{
	ScsiCommand command = {.cdb = runner_command_cdb(cmd), .sense = runner_command_sense(cmd)};

	command.iov = runner_command_data(cmd, &command.count);
	return scsi_command(device_unit(device), &command, device_is_ready(device), ret_request);
}

/* The runner has set what the kernel's attribute is, where that was accepted or when the device was
 * opened, and the unit may be larger. */
static void device_keep_size(RunnerDevice *dev, Device *device)
{
	guint64 blocks = scsi_unit_blocks(device_unit(device));

	if (runner_device_blocks(dev) != blocks)
		runner_device_set_blocks(dev, blocks);
}

static RunnerStatus handle_command(RunnerDevice *dev, RunnerCommand *cmd)
{
	Device *device = runner_device_private(dev);
	Request request;

	flusher_stay(); /* the device's own thread */
	device_keep_size(dev, device);
	device_note_use(device);
	return command_parse(device, cmd, &request);
}

/* Nothing was kept of the command, so it is parsed once more. */
static RunnerStatus handle_execute(RunnerDevice *dev, RunnerCommand *cmd)
{
	Device *device = runner_device_private(dev);
	Request request = {.kind = REQUEST_NOTHING};
	RunnerStatus status = command_parse(device, cmd, &request);

	if (status == RUNNER_LATER || status == RUNNER_OK)
		return device_submit(device, cmd, &request);
	return status == RUNNER_NOT_HANDLED ? RUNNER_BUSY : status;
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
