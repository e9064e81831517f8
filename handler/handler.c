/* SPDX-License-Identifier: Apache-2.0 */
/*
 * handler_storageos.so: the plugin that lets tcmu-runner serve volumes.
 *
 * The runner calls the callbacks from one thread for each device, and from whichever thread
 * completes a command (the next step of a compound one).  A callback queues, or answers from
 * memory: nothing here waits for a disk except opening and closing, and these only for a limited
 * time.  device.h says what happens to a queued request, runner-abi.h how the versions of the
 * runner differ.
 *
 * The process belongs to others (I9): no exit, no abort, no aborting allocation of a size that
 * comes from input, no signal or exit handler, no g_log(), no change of the environment.
 *
 * scsi.h parses the commands; plain reads and writes are left to the runner, which calls back for
 * them.
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
#include "handler/identity.h"
#include "handler/timeout.h"

#define EXPORT __attribute__((visibility("default")))

/* The longest transfer of a device that was left at the kernel's default, which is 128 blocks: 64
 * KiB is too short to be fast. */
#define TRANSFER_BYTES (1u << 20)
#define KERNEL_TRANSFER_BLOCKS 128

/* ---- devices */

/* Any local user may call this over D-Bus, and the runner's main thread runs it as root: so it
 * looks at the text and the configuration only.
 *
 * The runner asks again for each device that the kernel has, and never answers the commands of a
 * device that is refused here.  Such a device is accepted, for handle_open() to refuse.
 *
 * The runner releases *reason with free(). */
static bool handle_check_config(const char *cfgstring, char **reason)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(CfgString) parsed = cfgstring_parse(cfgstring, &error);
	g_autofree char *printable = NULL;

	if (parsed && (opening_check(parsed, &error) || runner_is_given(cfgstring)))
		return true;
	printable = text_printable(error ? error->message : "not a valid cfgstring");
	*reason = strdup(printable); /* anything but UTF-8 becomes "[Invalid UTF-8]" on D-Bus */
	return false;
}

static void device_set_limits(RunnerDevice *dev, const ScsiUnit *unit, guint32 block_size)
{
	const VolumeLimits *of_volume = volume_kind_limits(unit->direct);
	RunnerLimits limits = {.unmap_granularity = of_volume->discard_granularity / block_size};

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
	device_set_limits(dev, device_unit(device), runner_device_block_size(dev));
	device_unit(device)->max_transfer = runner_device_max_transfer(dev);
	/* The runner reports no write cache unless the handler says so, and without one initiators
	 * would never flush. */
	runner_device_set_write_cache(dev);
	runner_device_set_private(dev, device);
}

/* The runner counts whole blocks: of less than one, none. */
static guint64 device_size(RunnerDevice *dev, const char *directory)
{
	guint64 blocks = runner_device_blocks(dev);

	return blocks ? blocks * runner_device_block_size(dev) : identity_size(directory);
}

/* Runs in the runner's main thread, for which the kernel's netlink and D-Bus wait.  An open takes
 * as long as the volume's recovery; if that is too long, it goes on in a thread of its own.  The
 * result is never positive, which versions before 1.3 would take for success. */
static int handle_open(RunnerDevice *dev, bool reopen)
{
	g_autoptr(GError) error = NULL;
	const char *cfgstring = runner_device_cfgstring(dev);
	guint32 block_size = runner_device_block_size(dev);
	g_autofree char *directory = runner_device_directory(dev);
	g_autofree char *backstore = directory ? g_path_get_basename(directory) : NULL;
	const OpeningDevice opening = {.cfgstring = cfgstring,
				       .backstore = backstore,
				       .size = device_size(dev, directory),
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

/* When the result is 0, the kernel takes the new size and the runner tells initiators. */
static int device_resize_to(RunnerDevice *dev, guint64 size)
{
	Device *device = runner_device_private(dev);
	g_autoptr(GError) error = NULL;

	if (!device)
		return -EBUSY;
	if (device_resize(device, size, &error)) {
		log_info("%s: resized to %" G_GUINT64_FORMAT " bytes", runner_device_cfgstring(dev),
			 scsi_unit_blocks(device_unit(device)) * device_unit(device)->block_size);
		return 0;
	}
	log_error("%s: cannot resize to %" G_GUINT64_FORMAT " bytes: %s",
		  runner_device_cfgstring(dev), size, error ? error->message : "failed");
	return -error_to_errno(error);
}

/* restoreconfig sets every saved attribute, the cfgstring included. */
static gboolean cfgstrings_name_same_volume(const char *one, const char *other)
{
	g_autoptr(CfgString) a = cfgstring_parse(one, NULL);
	g_autoptr(CfgString) b = cfgstring_parse(other, NULL);

	return a && b && !g_strcmp0(a->volume->pool, b->volume->pool) &&
	       !strcmp(a->volume->name, b->volume->name);
}

/* Whether there is a write cache is a property of the volume, and MODE SENSE says it.  The kernel's
 * attribute is 0 from the start, whatever initiators are told, and restoreconfig sets the saved
 * value before anybody uses the device.  Refusing that would make a restore end with an error;
 * obeying it would make each restored device flush after each write.  So it is ignored.  Whoever
 * changes the attribute of a device in use means it, and gets an error if the volume differs. */
static int device_set_write_cache(RunnerDevice *dev, bool on)
{
	Device *device = runner_device_private(dev);
	const char *name = runner_device_cfgstring(dev);
	bool has = !device || !g_atomic_int_get(&device_unit(device)->write_through);

	if (on == has)
		return 0;
	if (!device || !device_is_in_use(device)) {
		log_info("%s: the write cache is %s whatever the attribute says", name,
			 has ? "on" : "off");
		return 0;
	}
	log_error("%s: the write cache stays %s: it is a property of the volume (storageos set "
		  "NAME write_cache=%s, while it is detached)",
		  name, has ? "on" : "off", on ? "on" : "off");
	return -EOPNOTSUPP;
}

/* Called in the runner's main thread while commands run. */
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
	gboolean ready = device_is_ready(device);

	device_check_fit(device); /* of a volume that is ready */
	command.iov = runner_command_data(cmd, &command.count);
	return scsi_command(device_unit(device), &command, ready, ret_request);
}

/* Corrects the runner's idea of the device's size, which it takes from the kernel's attribute when
 * it opens a device or has changed the attribute: the unit may be larger. */
static void device_keep_size(RunnerDevice *dev, Device *device)
{
	guint64 blocks = scsi_unit_blocks(device_unit(device));

	if (runner_device_blocks(dev) != blocks)
		runner_device_set_blocks(dev, blocks);
}

/* A read that need not wait is answered here: a status that `read` returns would only say that the
 * command has failed. */
static RunnerStatus handle_command(RunnerDevice *dev, RunnerCommand *cmd)
{
	Device *device = runner_device_private(dev);
	Request request = {.kind = REQUEST_NOTHING};
	gboolean is_write;
	RunnerStatus status;

	flusher_stay(); /* this is the device's dispatch thread */
	device_keep_size(dev, device);
	device_note_use(device);
	status = command_parse(device, cmd, &request);
	is_write = status == RUNNER_NOT_HANDLED && request.kind == REQUEST_WRITE;
	device_expect(device, is_write ? cmd : NULL);
	if (status == RUNNER_NOT_HANDLED && request.kind == REQUEST_READ)
		return device_read_now(device, cmd, &request);
	return status;
}

/* Nothing was kept of the command since handle_command(), so it is parsed again. */
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
	.description =
		"[POOL/]NAME[;create][;write_cache=off]: a volume of a pool; with ;create it "
		"is made, thin, of the size given here, if it is not there; with "
		";write_cache=off it acknowledges only what is durable",
	.check_config = handle_check_config,
	.reconfig = handle_reconfig,
	.open = handle_open,
	.close = handle_close,
	.read = handle_read,
	.write = handle_write,
	.command = handle_command,
	.execute = handle_execute,
};

/* The one exported symbol.  The runner skips a plugin whose result is not 0, and never unloads
 * any. */
EXPORT int handler_init(void);

int handler_init(void)
{
	g_autoptr(GError) error = NULL;

	if (runner_abi_register(&callbacks, &error))
		return 0;
	log_error("handler_storageos.so: %s", error ? error->message : "cannot register");
	return -1;
}
