/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything here was measured on the versions themselves.  The traps, and where each is avoided:
 *
 *   - The order of read and write in the structure changed in 1.5.0, and what lies behind them in
 *     almost every version: runner-layout.h.
 *   - The runner keeps the pointer to the structure, and later versions read further than earlier
 *     ones: a static, zeroed block, larger than any version's structure (handler_block).
 *   - An undefined symbol keeps the plugin from being loaded at all: dlsym() only
 *     (runner-abi-tables.c).
 *   - Before 1.4 statuses are SCSI's, with the handler's own sense data; since then they are
 * numbers of the runner's: a table of statuses, and our own sense data for all of them.
 *   - A command is completed by the function that it points to (C, D) or by one of the runner's
 *     (E to G).  C tells the kernel only when the last command of a device has been completed, so
 *     that a queue which is never empty stands still: runner_complete().
 *   - A struct tcmur_cmd lies right behind the CDB, at any alignment: memcpy().
 *   - C's open() has no second argument, so its register holds garbage: hook_open().
 *   - C sets the unmap granularity after open(), where no handler can change it any more: the
 *     plugin answers INQUIRY itself.
 *   - A command that handle_cmd keeps to complete it later crashes the runner, which has not set
 *     the function to call then: RUNNER_LATER goes through the one callback that gets nothing but
 *     the command, flush ("the tunnel" below).
 *   - UNMAP calls a missing callback (C, D) or loses its errors (E to G), and so does WRITE SAME
 *     with UNMAP; COMPARE AND WRITE holds a lock of the device; lengths are cut to 32 bits: all of
 *     these go through the tunnel.
 *   - A device without the callback unmap says that it cannot unmap: hook_unmap(), never called.
 *   - With a granularity alignment of 0, WRITE SAME with UNMAP divides by zero and ends the daemon:
 *     runner_device_set_limits() always sets the alignment.
 *   - The thread of a device that goes away is cancelled: not within a callback (CancelGuard).
 *   - A device that the kernel already has when the runner starts is opened like a new one, and
 *     never again if that fails: runner_device_served_before() tells them apart, and device.c waits
 *     for the volume of such a device.
 *   - A target port group of the default type, "Implicit and Explicit", is an error to the runner,
 *     after it has noted that reads and writes need a lock; nobody takes it, so they all fail until
 *     it looks at groups of other types.  It looks at them when it has opened a device, and for
 *     INQUIRY and REPORT TARGET PORT GROUPS; these the plugin answers itself, because a group could
 *     be made between the plugin's look and the runner's (scsi-groups.c).
 *   - Log messages are cut at 255 bytes: longer ones are sent in pieces (runner-abi-tables.c).
 *   - The subtype is found by a prefix compare: the callbacks compare the whole word (cfgstring.c).
 */
#include "handler/runner-abi-tables.h"

#include <pthread.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/files.h"
#include "common/base/logging.h"

G_STATIC_ASSERT(G_STRUCT_OFFSET(RunnerReconfig, kind) == RUNNER_CFG_INFO_TYPE);
G_STATIC_ASSERT(G_STRUCT_OFFSET(RunnerReconfig, value) == RUNNER_CFG_INFO_DATA);

/* nr_threads stays 0: the device's own thread calls the callbacks, and commands are completed
 * later. This is the one model that C to G have in common. */
static guint64 handler_block[RUNNER_HANDLER_SIZE / sizeof(guint64)];

static const RunnerConventions *conventions;
static RunnerFunctions runner;
static const RunnerCallbacks *plugin;

/* ---- commands */

/* The command's struct tcmulib_cmd. */
static char *lib_command(const RunnerCommand *cmd)
{
	char *lib = (char *)cmd;

	if (conventions->wraps_commands)
		memcpy(&lib, (const char *)cmd + RUNNER_TCMUR_CMD_LIB_CMD, sizeof lib);
	return lib;
}

/* The device lives until this returns, as closing it joins the thread that completes. */
void runner_complete(RunnerDevice *dev, RunnerCommand *cmd, RunnerStatus status)
{
	void (*complete)(RunnerDevice *, RunnerCommand *, int) = runner.cmd_complete;

	if (!conventions->completes_itself)
		memcpy(&complete, lib_command(cmd) + RUNNER_CMD_DONE, sizeof complete);
	complete(dev, cmd, conventions->statuses[status]);
	if (conventions->waits_until_idle)
		runner.processing_complete(dev);
}

static guint8 *command_cdb(const RunnerCommand *cmd)
{
	guint8 *cdb;

	memcpy(&cdb, lib_command(cmd) + RUNNER_CMD_CDB, sizeof cdb);
	return cdb;
}

const guint8 *runner_command_cdb(const RunnerCommand *cmd)
{
	return command_cdb(cmd);
}

guint8 *runner_command_sense(const RunnerCommand *cmd)
{
	return (guint8 *)lib_command(cmd) + RUNNER_CMD_SENSE;
}

const struct iovec *runner_command_data(const RunnerCommand *cmd, gsize *ret_count)
{
	const struct iovec *iov;

	memcpy(&iov, lib_command(cmd) + RUNNER_CMD_IOVEC, sizeof iov);
	memcpy(ret_count, lib_command(cmd) + RUNNER_CMD_IOV_CNT, sizeof *ret_count);
	return iov;
}

/* ---- callbacks
 *
 * The tunnel.  From C to G, a command goes through the device's dispatch thread in this order:
 *
 *     a pending unit attention, or a FORMAT UNIT under way, ends it
 *     handle_cmd()        ends it, or returns "not handled"
 *     switch (cdb[0])     INQUIRY, READ CAPACITY and so on: answered at once
 *     a recovery under way (BUSY), or the lock of a clustered handler, ends it
 *     switch (cdb[0])     SYNCHRONIZE CACHE (10) and (16): sets the function to call on
 *                         completion, calls flush(), and takes 0 for "will be completed"
 *
 * For a SYNCHRONIZE CACHE none of these steps looks at anything but the operation code; CDB and
 * sense buffer are the command's own memory, copied from the ring.  So a command that is to be
 * carried out later gets the operation code of SYNCHRONIZE CACHE (10), and flush() gets the whole
 * command, to complete it at any time.  (handle_cmd() returning "handled later" would be the
 * runner's own way, but there the function to call on completion is not set.)
 *
 * SYNCHRONIZE CACHE itself goes through the tunnel, too: flush() is called in no other way. */

#define TUNNEL_OPCODE 0x35
#define TUNNEL_STASH (RUNNER_SENSE_SIZE - 1) /* where the sense buffer keeps the true opcode */

/* Keeps the calling thread from being cancelled for the life of the variable.  A device's thread is
 * cancelled when the device goes away, and must not be while it holds our locks. */
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

static int hook_open(RunnerDevice *dev, bool reopen)
{
	return plugin->open(dev, conventions->tells_reopen && reopen);
}

/* Since 1.4.1 commands get here while the device is closed: between the two halves of a recovery,
 * which follows the command time-out that a user may set. */
static int hook_command(RunnerDevice *dev, RunnerCommand *cmd)
{
	G_GNUC_UNUSED g_auto(CancelGuard) guard = cancel_guard();
	RunnerStatus status = runner.get_private(dev) ? plugin->command(dev, cmd) : RUNNER_BUSY;

	if (status == RUNNER_LATER) {
		guint8 *cdb = command_cdb(cmd);

		runner_command_sense(cmd)[TUNNEL_STASH] = cdb[0];
		cdb[0] = TUNNEL_OPCODE;
	}
	return conventions->statuses[status];
}

static int hook_flush(RunnerDevice *dev, RunnerCommand *cmd)
{
	G_GNUC_UNUSED g_auto(CancelGuard) guard = cancel_guard();

	command_cdb(cmd)[0] = runner_command_sense(cmd)[TUNNEL_STASH];
	return conventions->statuses[plugin->execute(dev, cmd)];
}

static int hook_read(RunnerDevice *dev, RunnerCommand *cmd, struct iovec *iov, size_t count,
		     size_t length, off_t offset)
{
	G_GNUC_UNUSED g_auto(CancelGuard) guard = cancel_guard();

	return conventions->statuses[plugin->read(dev, cmd, iov, count, length, offset)];
}

static int hook_write(RunnerDevice *dev, RunnerCommand *cmd, struct iovec *iov, size_t count,
		      size_t length, off_t offset)
{
	G_GNUC_UNUSED g_auto(CancelGuard) guard = cancel_guard();

	return conventions->statuses[plugin->write(dev, cmd, iov, count, length, offset)];
}

static int hook_unmap(RunnerDevice *dev, RunnerCommand *cmd, guint64 offset, guint64 length)
{
	(void)dev;
	(void)cmd;
	(void)offset;
	(void)length;
	return conventions->statuses[RUNNER_NOT_HANDLED];
}

typedef int (*TransferHook)(RunnerDevice *dev, RunnerCommand *cmd, struct iovec *iov, size_t count,
			    size_t length, off_t offset);

static const struct {
	int (*open)(RunnerDevice *dev, bool reopen);
	int (*command)(RunnerDevice *dev, RunnerCommand *cmd);
	TransferHook read, write;
	int (*flush)(RunnerDevice *dev, RunnerCommand *cmd);
	int (*unmap)(RunnerDevice *dev, RunnerCommand *cmd, guint64 offset, guint64 length);
} hooks = {.open = hook_open,
	   .command = hook_command,
	   .read = hook_read,
	   .write = hook_write,
	   .flush = hook_flush,
	   .unmap = hook_unmap};

/* ---- registration */

static void handler_store(guint offset, gconstpointer value)
{
	memcpy((char *)handler_block + offset, value, sizeof(void *));
}

static void handler_fill(const RunnerCallbacks *callbacks, const RunnerLayout *layout)
{
	handler_store(layout->name, &callbacks->name);
	handler_store(layout->subtype, &callbacks->subtype);
	handler_store(layout->cfg_desc, &callbacks->description);
	handler_store(layout->check_config, &callbacks->check_config);
	handler_store(layout->reconfig, &callbacks->reconfig);
	handler_store(layout->open, &hooks.open);
	handler_store(layout->close, &callbacks->close);
	handler_store(layout->handle_cmd, &hooks.command);
	handler_store(layout->read, &hooks.read);
	handler_store(layout->write, &hooks.write);
	handler_store(layout->flush, &hooks.flush);
	handler_store(layout->unmap, &hooks.unmap);
}

gboolean runner_abi_register(const RunnerCallbacks *callbacks, GError **error)
{
	g_autofree char *name = NULL;

	conventions = runner_conventions_find(&runner, &name, error);
	if (!conventions)
		return FALSE;
	plugin = callbacks;
	handler_fill(callbacks, &conventions->layout);
	if (runner.register_handler(handler_block) != 0)
		return error_set(error, STORAGEOS_ERROR_EXISTS,
				 "%s refused the handler: is another one for '%s' in its "
				 "directory? (it loads every file whose name starts with handler_)",
				 name, callbacks->subtype);
	log_info("registered with %s", name);
	return TRUE;
}

/* ---- devices */

void *runner_device_private(RunnerDevice *dev)
{
	return runner.get_private(dev);
}

void runner_device_set_private(RunnerDevice *dev, void *data)
{
	runner.set_private(dev, data);
}

const char *runner_device_cfgstring(RunnerDevice *dev)
{
	return runner.get_cfgstring(dev);
}

/* The four parts of a UIO device's name, "tcm-user/HBA/NAME/CFGSTRING"; NULL if it is not one of
 * TCMU's.  Free with g_strfreev(). */
static char **uio_name_split(const char *node)
{
	g_autofree char *path = g_strdup_printf("/sys/class/uio/%s/name", node);
	g_autofree char *text = files_read_kernel(path, NULL);
	g_auto(GStrv) parts = NULL;

	if (!text)
		return NULL;
	parts = g_strsplit(g_strchomp(text), "/", 4);
	if (g_strv_length(parts) != 4 || strcmp(parts[0], "tcm-user") != 0)
		return NULL;
	return g_steal_pointer(&parts);
}

/* Some generations pass on the cfgstring without keys of their own, which follow a ';'. */
gboolean runner_is_given(const char *cfgstring)
{
	g_autoptr(GDir) nodes = g_dir_open("/sys/class/uio", 0, NULL);
	const char *node;

	while (nodes && (node = g_dir_read_name(nodes))) {
		g_auto(GStrv) parts = uio_name_split(node);
		gsize length = strlen(cfgstring);

		if (parts && g_str_has_prefix(parts[3], cfgstring) &&
		    (!parts[3][length] || parts[3][length] == ';'))
			return TRUE;
	}
	return FALSE;
}

/* Not all generations tell the UIO device's name, but all have the device open. */
char *runner_device_directory(RunnerDevice *dev)
{
	g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", runner.get_fd(dev));
	g_autofree char *node = g_file_read_link(link, NULL);
	g_auto(GStrv) parts = node && g_str_has_prefix(node, "/dev/")
				      ? uio_name_split(node + strlen("/dev/"))
				      : NULL;

	return !parts ? NULL
		      : g_strdup_printf("/sys/kernel/config/target/core/user_%s/%s", parts[1],
					parts[2]);
}

gboolean runner_deals_with_implicit_groups(void)
{
	return !conventions->wants_locks;
}

/* configfs shows a device as enabled only after its first open() has returned. */
gboolean runner_device_served_before(RunnerDevice *dev)
{
	g_autofree char *directory = runner_device_directory(dev);
	g_autofree char *enabled = directory ? files_get_attribute(directory, "enable") : NULL;

	return enabled && enabled[0] == '1';
}

guint64 runner_device_blocks(RunnerDevice *dev)
{
	return runner.get_num_lbas(dev);
}

void runner_device_set_blocks(RunnerDevice *dev, guint64 blocks)
{
	runner.set_num_lbas(dev, blocks);
}

guint32 runner_device_block_size(RunnerDevice *dev)
{
	return runner.get_block_size(dev);
}

guint32 runner_device_max_transfer(RunnerDevice *dev)
{
	return runner.get_max_xfer_len(dev);
}

void runner_device_set_limits(RunnerDevice *dev, const RunnerLimits *limits)
{
	if (limits->max_transfer)
		runner.set_max_xfer_len(dev, limits->max_transfer);
	/* Without splitting, as a discard costs the engine the same for any length.  max_unmap_len
	 * stays, because 1.5.0 and 1.5.1 do not accept more than they started with. */
	runner.set_opt_unmap_gran(dev, limits->unmap_granularity, false);
	runner.set_unmap_gran_align(dev, MAX(limits->unmap_granularity, 1));
	if (runner.set_solid_state_media)
		runner.set_solid_state_media(dev, true);
}

void runner_device_set_write_cache(RunnerDevice *dev)
{
	runner.set_write_cache_enabled(dev, true);
}
