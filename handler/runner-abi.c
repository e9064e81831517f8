/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything here was measured on the versions themselves; offsets are those of LP64 (x86-64 and
 * aarch64 agree).
 *
 * Traps, and where they are dealt with:
 *   - the order of read and write in the structure changed with 1.5.0, and what lies behind them
 *     with almost every version: layouts[]
 *   - the runner keeps the pointer to the structure, and later versions read further than earlier
 *     ones: a static, zeroed block, larger than any version's structure (handler_block)
 *   - lock, unlock, get_lock_tag, report_event, _is_dbus_handler must be zero: never filled
 *   - an undefined symbol keeps the plugin from being loaded at all: dlsym() only (resolve())
 *   - tcmu_dev_set_private() belongs to the runner from 1.5.0 on: tcmur_dev_set_private()
 *   - a command that handle_cmd keeps, to complete it later, crashes the runner, since what is to
 * be called then was not set: RUNNER_LATER goes through the one callback that is told nothing but
 *     the command, flush (the tunnel, below)
 *   - UNMAP calls a callback that is not there (C, D) or loses its errors (E to G), WRITE SAME with
 *     UNMAP calls it as well, COMPARE AND WRITE holds a lock of the device: all of them go that way
 *   - a device without the callback unmap says that it cannot unmap: hook_unmap(), never called
 *   - a struct tcmur_cmd lies right behind the CDB, at any alignment: read with memcpy()
 *   - a granularity alignment of 0 makes WRITE SAME with UNMAP divide by zero and the whole daemon
 *     die: runner_device_set_limits() always sets it
 *   - a device that is in the kernel already when the runner starts is opened as a new one is, and
 *     nothing opens it again if that fails: runner_device_served_before() tells them apart, and
 *     device.c waits for the volume of such a device
 *   - log messages are cut at 255 bytes: log_sink() sends longer ones in pieces
 *   - the subtype is found by a prefix compare: the callbacks compare the whole word (cfgstring.c)
 */
#include "handler/runner-abi.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

#include "common/error.h"
#include "common/logging.h"

G_STATIC_ASSERT(sizeof(void *) == 8);
G_STATIC_ASSERT(G_STRUCT_OFFSET(RunnerReconfig, value) == 8);

typedef enum {
	GENERATION_NONE,
	GENERATION_A,
	GENERATION_B,
	GENERATION_C,
	GENERATION_D,
	GENERATION_E,
	GENERATION_F,
	GENERATION_G,
} Generation;

static const char *const generation_names[] = {
	[GENERATION_NONE] = "not a known tcmu-runner",
	[GENERATION_A] = "tcmu-runner 1.1 (generation A)",
	[GENERATION_B] = "tcmu-runner 1.2 (generation B)",
	[GENERATION_C] = "tcmu-runner 1.3 (generation C)",
	[GENERATION_D] = "tcmu-runner 1.4 (generation D)",
	[GENERATION_E] = "tcmu-runner 1.5.0 to 1.5.2 (generation E)",
	[GENERATION_F] = "tcmu-runner 1.5.3 (generation F)",
	[GENERATION_G] = "tcmu-runner 1.5.4 or later (generation G)",
};

/* Where each member of struct tcmur_handler is.  Zero for the whole row: not served. */
typedef struct {
	guint8 check_config, reconfig, open, close;
	guint8 handle_cmd, write, read, flush, unmap;
} Layout;

/* name, subtype and description are at 0, 8 and 16 in all of them. */
static const Layout layouts[] = {
	[GENERATION_G] = {.check_config = 32,
			  .reconfig = 40,
			  .open = 48,
			  .close = 56,
			  .handle_cmd = 72,
			  .read = 80,
			  .write = 88,
			  .flush = 96,
			  .unmap = 104},
};

/* nr_threads (at 64) stays 0 in every generation: callbacks are called by the device's own thread
 * and commands are completed later, which is the one model that C to G have in common. */
static guint64 handler_block[32];

/* What the statuses are there (TCMU_STS_*). */
static const int wire_statuses[] = {
	[RUNNER_OK] = 0,	  [RUNNER_SENSE_SET] = 2,    [RUNNER_BUSY] = 3,
	[RUNNER_NO_RESOURCE] = 1, [RUNNER_NOT_HANDLED] = -1, [RUNNER_LATER] = -1,
};

static const RunnerCallbacks *plugin;

/* The runner's functions. */
static struct {
	int (*register_handler)(void *handler);
	void (*cmd_complete)(RunnerDevice *dev, void *cmd, int status);
	void *(*get_private)(RunnerDevice *dev);
	void (*set_private)(RunnerDevice *dev, void *data);
	char *(*get_cfgstring)(RunnerDevice *dev);
	const char *(*get_uio_name)(RunnerDevice *dev);
	guint64 (*get_num_lbas)(RunnerDevice *dev);
	guint32 (*get_block_size)(RunnerDevice *dev);
	guint32 (*get_max_xfer_len)(RunnerDevice *dev);
	void (*set_max_xfer_len)(RunnerDevice *dev, guint32 blocks);
	void (*set_opt_unmap_gran)(RunnerDevice *dev, guint32 blocks, bool split);
	void (*set_unmap_gran_align)(RunnerDevice *dev, guint32 blocks);
	void (*set_write_cache_enabled)(RunnerDevice *dev, bool enabled);
	void (*set_solid_state_media)(RunnerDevice *dev, bool enabled);
} runner;

typedef void (*MessageFunction)(RunnerDevice *dev, const char *function, int line,
				const char *format, ...);
static MessageFunction messages[LOGGING_DEBUG + 1];

static gboolean has(const char *symbol)
{
	return dlsym(RTLD_DEFAULT, symbol) != NULL;
}

/* Exact to the commit in which a layout changed, as the symbols came and went with it. */
static Generation generation_detect(void)
{
	if (!has("tcmur_register_handler"))
		return GENERATION_NONE;
	if (has("tcmur_cmd_complete")) {
		if (!has("tcmu_notify_cmd_timed_out"))
			return GENERATION_E;
		return has("tcmur_handle_caw") ? GENERATION_F : GENERATION_G;
	}
	if (has("__tcmu_set_sense_data") || has("__tcmu_sense_set_data"))
		return GENERATION_D;
	if (has("tcmur_handle_writesame"))
		return GENERATION_C;
	if (has("tcmu_err_message"))
		return GENERATION_B;
	return has("errp") ? GENERATION_A : GENERATION_NONE;
}

static gboolean resolve(GError **error)
{
	const struct {
		const char *name;
		void *function;
	} wanted[] = {
		{"tcmur_register_handler", &runner.register_handler},
		{"tcmur_cmd_complete", &runner.cmd_complete},
		{"tcmur_dev_get_private", &runner.get_private},
		{"tcmur_dev_set_private", &runner.set_private},
		{"tcmu_dev_get_cfgstring", &runner.get_cfgstring},
		{"tcmu_dev_get_uio_name", &runner.get_uio_name},
		{"tcmu_dev_get_num_lbas", &runner.get_num_lbas},
		{"tcmu_dev_get_block_size", &runner.get_block_size},
		{"tcmu_dev_get_max_xfer_len", &runner.get_max_xfer_len},
		{"tcmu_dev_set_max_xfer_len", &runner.set_max_xfer_len},
		{"tcmu_dev_set_opt_unmap_gran", &runner.set_opt_unmap_gran},
		{"tcmu_dev_set_unmap_gran_align", &runner.set_unmap_gran_align},
		{"tcmu_dev_set_write_cache_enabled", &runner.set_write_cache_enabled},
		{"tcmu_dev_set_solid_state_media", &runner.set_solid_state_media},
	};

	for (guint i = 0; i < G_N_ELEMENTS(wanted); i++) {
		void *address = dlsym(RTLD_DEFAULT, wanted[i].name);

		if (!address)
			return error_set(error, STORAGEOS_ERROR_UNSUPPORTED,
					 "this tcmu-runner lacks the function %s", wanted[i].name);
		memcpy(wanted[i].function, &address, sizeof address);
	}
	return TRUE;
}

/* ---- log */

/* The runner cuts a message of its own 255 bytes, its prefix included, and with it the newline. */
#define LOG_PIECE 200

static void log_sink(LoggingLevel level, const char *line)
{
	MessageFunction message = messages[MIN(level, LOGGING_DEBUG)];
	const char *lead = "";

	do {
		int n = (int)strnlen(line, LOG_PIECE);

		message(NULL, "storageos", 0, "%s%.*s\n", lead, n, line);
		line += n;
		lead = "... ";
	} while (*line);
}

/* Without one of its functions (not seen in C to G) lines go to standard error, as before. */
static void log_connect(void)
{
	static const char *const names[] = {
		[LOGGING_ERROR] = "tcmu_err_message",
		[LOGGING_WARNING] = "tcmu_warn_message",
		[LOGGING_INFO] = "tcmu_info_message",
		[LOGGING_DEBUG] = "tcmu_dbg_message",
	};

	for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
		void *address = dlsym(RTLD_DEFAULT, names[i]);

		if (!address)
			return;
		memcpy(&messages[i], &address, sizeof address);
	}
	logging_set_sink(log_sink);
}

/* ---- commands */

void runner_complete(RunnerDevice *dev, RunnerCommand *cmd, RunnerStatus status)
{
	runner.cmd_complete(dev, cmd, wire_statuses[status]);
}

/* struct tcmur_cmd begins with a pointer to struct tcmulib_cmd, whose first 128 bytes are the same
 * everywhere: CDB at 8, vector at 16, its count at 24, sense buffer at 32. */
static char *lib_command(const RunnerCommand *cmd)
{
	char *lib;

	memcpy(&lib, (const void *)cmd, sizeof lib);
	return lib;
}

static guint8 *command_cdb(const RunnerCommand *cmd)
{
	guint8 *cdb;

	memcpy(&cdb, lib_command(cmd) + 8, sizeof cdb);
	return cdb;
}

const guint8 *runner_command_cdb(const RunnerCommand *cmd)
{
	return command_cdb(cmd);
}

/* As the runner finds it: it keeps no more than that of a CDB. */
gsize runner_command_cdb_length(const RunnerCommand *cmd)
{
	static const guint8 lengths[] = {6, 10, 10, 0, 16, 12, 0, 0}; /* by the opcode's group */
	const guint8 *cdb = command_cdb(cmd);

	return cdb[0] == 0x7f ? 8u + cdb[7] : lengths[cdb[0] >> 5];
}

guint8 *runner_command_sense(const RunnerCommand *cmd)
{
	return (guint8 *)lib_command(cmd) + 32;
}

const struct iovec *runner_command_data(const RunnerCommand *cmd, gsize *ret_count)
{
	const struct iovec *iov;

	memcpy(&iov, lib_command(cmd) + 16, sizeof iov);
	memcpy(ret_count, lib_command(cmd) + 24, sizeof *ret_count);
	return iov;
}

/* ---- callbacks
 *
 * The tunnel.  From C to G alike, a command goes through the device's dispatch thread so:
 *
 *     a unit attention that is pending, or FORMAT UNIT being under way, ends it
 *     handle_cmd          ends it, or returns "not handled"
 *     switch (cdb[0])     INQUIRY, READ CAPACITY and so on: answered at once
 *     in recovery: BUSY; not this node's turn (ALUA): sense data
 *     switch (cdb[0])     SYNCHRONIZE CACHE (10) and (16): done = the plain completion; flush()
 *
 * Neither of the two switches looks at more than the operation code of a SYNCHRONIZE CACHE, and
 * between handle_cmd and flush() nothing looks into the sense buffer; CDB and sense buffer are the
 * command's own memory, not the ring's.  So what is to be carried out later gets the operation
 * code of SYNCHRONIZE CACHE (10), and flush() gets the whole command, to complete when it likes.
 * SYNCHRONIZE CACHE goes that way itself: flush() is never called but through here. */

#define TUNNEL_OPCODE 0x35
#define TUNNEL_STASH (RUNNER_SENSE_SIZE - 1) /* in the sense buffer: the true operation code */

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

static int hook_command(RunnerDevice *dev, RunnerCommand *cmd)
{
	G_GNUC_UNUSED g_auto(CancelGuard) guard = cancel_guard();
	RunnerStatus status = plugin->command(dev, cmd);

	if (status == RUNNER_LATER) {
		guint8 *cdb = command_cdb(cmd);

		runner_command_sense(cmd)[TUNNEL_STASH] = cdb[0];
		cdb[0] = TUNNEL_OPCODE;
	}
	return wire_statuses[status];
}

static int hook_flush(RunnerDevice *dev, RunnerCommand *cmd)
{
	G_GNUC_UNUSED g_auto(CancelGuard) guard = cancel_guard();

	command_cdb(cmd)[0] = runner_command_sense(cmd)[TUNNEL_STASH];
	return wire_statuses[plugin->execute(dev, cmd)];
}

static int hook_read(RunnerDevice *dev, RunnerCommand *cmd, struct iovec *iov, size_t count,
		     size_t length, off_t offset)
{
	G_GNUC_UNUSED g_auto(CancelGuard) guard = cancel_guard();

	return wire_statuses[plugin->read(dev, cmd, iov, count, length, offset)];
}

static int hook_write(RunnerDevice *dev, RunnerCommand *cmd, struct iovec *iov, size_t count,
		      size_t length, off_t offset)
{
	G_GNUC_UNUSED g_auto(CancelGuard) guard = cancel_guard();

	return wire_statuses[plugin->write(dev, cmd, iov, count, length, offset)];
}

static int hook_unmap(RunnerDevice *dev, RunnerCommand *cmd, guint64 offset, guint64 length)
{
	(void)dev;
	(void)cmd;
	(void)offset;
	(void)length;
	return wire_statuses[RUNNER_NOT_HANDLED];
}

typedef int (*TransferHook)(RunnerDevice *dev, RunnerCommand *cmd, struct iovec *iov, size_t count,
			    size_t length, off_t offset);

static const struct {
	int (*command)(RunnerDevice *dev, RunnerCommand *cmd);
	TransferHook read, write;
	int (*flush)(RunnerDevice *dev, RunnerCommand *cmd);
	int (*unmap)(RunnerDevice *dev, RunnerCommand *cmd, guint64 offset, guint64 length);
} hooks = {.command = hook_command,
	   .read = hook_read,
	   .write = hook_write,
	   .flush = hook_flush,
	   .unmap = hook_unmap};

/* ---- registration */

static void store(guint offset, gconstpointer value)
{
	memcpy((char *)handler_block + offset, value, sizeof(void *));
}

static void handler_fill(const RunnerCallbacks *callbacks, const Layout *layout)
{
	store(0, &callbacks->name);
	store(8, &callbacks->subtype);
	store(16, &callbacks->description);
	store(layout->check_config, &callbacks->check_config);
	store(layout->reconfig, &callbacks->reconfig);
	store(layout->open, &callbacks->open);
	store(layout->close, &callbacks->close);
	store(layout->handle_cmd, &hooks.command);
	store(layout->read, &hooks.read);
	store(layout->write, &hooks.write);
	store(layout->flush, &hooks.flush);
	store(layout->unmap, &hooks.unmap);
}

gboolean runner_abi_register(const RunnerCallbacks *callbacks, GError **error)
{
	Generation generation = generation_detect();

	/* The log's functions have one prototype from C on, and another one in B. */
	if (generation >= GENERATION_C)
		log_connect();
	if (generation >= (int)G_N_ELEMENTS(layouts) || !layouts[generation].open)
		return error_set(error, STORAGEOS_ERROR_UNSUPPORTED,
				 "this is %s; tcmu-runner 1.5.4 or later is needed",
				 generation_names[generation]);
	if (!resolve(error))
		return FALSE;
	plugin = callbacks;
	handler_fill(callbacks, &layouts[generation]);
	if (runner.register_handler(handler_block) != 0)
		return error_set(error, STORAGEOS_ERROR_EXISTS,
				 "%s refused the handler: is another one for '%s' in its "
				 "directory? (it loads every file whose name starts with handler_)",
				 generation_names[generation], callbacks->subtype);
	log_info("registered with %s", generation_names[generation]);
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

/* The UIO device is called tcm-user/HBA/NAME/CFGSTRING; in configfs the device counts as enabled
 * only when its first open() has returned. */
gboolean runner_device_served_before(RunnerDevice *dev)
{
	g_autofree char *path = g_strdup_printf("/sys/class/uio/%s/name", runner.get_uio_name(dev));
	g_autofree char *text = NULL, *enable = NULL, *enabled = NULL;
	g_auto(GStrv) parts = NULL;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		return FALSE;
	parts = g_strsplit(text, "/", 4);
	if (g_strv_length(parts) != 4 || strcmp(parts[0], "tcm-user") != 0)
		return FALSE;
	enable = g_strdup_printf("/sys/kernel/config/target/core/user_%s/%s/enable", parts[1],
				 parts[2]);
	return g_file_get_contents(enable, &enabled, NULL, NULL) && enabled[0] == '1';
}

guint64 runner_device_blocks(RunnerDevice *dev)
{
	return runner.get_num_lbas(dev);
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
	/* Not split: the engine's discard costs the same for any length.  max_unmap_len stays as
	 * the runner set it, since 1.5.0 and 1.5.1 do not accept more than they started with. */
	runner.set_opt_unmap_gran(dev, limits->unmap_granularity, false);
	runner.set_unmap_gran_align(dev, MAX(limits->unmap_granularity, 1));
	runner.set_solid_state_media(dev, true);
}

void runner_device_set_write_cache(RunnerDevice *dev)
{
	runner.set_write_cache_enabled(dev, true);
}
