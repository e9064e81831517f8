/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plugin interface of tcmu-runner, as its versions differ: the only module that knows it.
 *
 * The plugin is built without tcmu-runner's headers and linked with none of its libraries, so that
 * one binary serves every version.  Symbols are looked up in the running process, and the handler
 * structure is a block of bytes, filled at the offsets of the generation that is found
 * (common/machine/runner-generation.h):
 *
 *     A  1.0.5 to 1.1.3        D  1.4.0, 1.4.1         G  1.5.4 and later
 *     B  1.2.0                 E  1.5.0 to 1.5.2
 *     C  1.3.0                 F  1.5.3
 *
 * C to G are served, with their release candidates and the snapshots that distributions made of
 * them.  A and B are refused by name, because there a handler has to implement all of SCSI itself.
 * To serve another generation, add a column to the table of layouts (runner-layout.h) and a row to
 * the table of conventions (runner-abi-tables.c).
 *
 * Threading: runner_abi_register() first and alone; everything else from any thread.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/uio.h>

/* The runner's device (struct tcmu_device) and command (struct tcmulib_cmd or tcmur_cmd), opaque
 * outside of this module. */
typedef struct RunnerDevice RunnerDevice;
typedef struct RunnerCommand RunnerCommand;

/* How a command ends.  Errors are always described by the plugin's own sense data (sense.h),
 * because the runner's error numbers differ between generations. */
typedef enum {
	RUNNER_OK,
	RUNNER_SENSE_SET,   /* CHECK CONDITION, with the command's sense buffer */
	RUNNER_BUSY,	    /* BUSY */
	RUNNER_NO_RESOURCE, /* TASK SET FULL: the initiator sends it again */
	/* Returned by `command` only: */
	RUNNER_NOT_HANDLED, /* the runner carries it out, calling `read` and `write` */
	RUNNER_LATER,	    /* `execute` will queue it */
} RunnerStatus;

/* A change of a device that its owner asks for (struct tcmulib_cfg_info, the same from C to G). */
typedef enum {
	RUNNER_RECONFIG_STRING = 0,
	RUNNER_RECONFIG_SIZE = 1,
	RUNNER_RECONFIG_WRITE_CACHE = 2,
} RunnerReconfigKind;

typedef struct {
	int kind; /* a RunnerReconfigKind, or a value unknown to us */
	union {
		guint64 size;
		const char *string;
		bool write_cache;
	} value;
} RunnerReconfig;

typedef struct {
	const char *name;
	const char *subtype;	 /* what stands before the first slash of a cfgstring */
	const char *description; /* of the cfgstring, for people */

	/* `cfgstring` is what the user wrote, with the subtype in front.  On false *reason is set
	 * to memory from malloc(). */
	bool (*check_config)(const char *cfgstring, char **reason);
	int (*reconfig)(RunnerDevice *dev, const RunnerReconfig *change); /* 0 or -errno */
	int (*open)(RunnerDevice *dev, bool reopen);			  /* 0 or -errno */
	void (*close)(RunnerDevice *dev);

	/* The remaining callbacks are called by the device's dispatch thread.  They must not sleep,
	 * and the thread is not cancelled during the call.
	 *
	 * `command` sees every command first.  It ends the command with the status that it returns,
	 * leaves it to the runner (RUNNER_NOT_HANDLED), or returns RUNNER_LATER.  After
	 * RUNNER_LATER `execute` is called for the command, unless the runner itself answers it
	 * (BUSY, during a recovery); so `command` must keep nothing for `execute`.
	 * A READ or WRITE that is left to the runner comes back as `read` or `write`; the runner
	 * has checked that it lies within the device and that its data has the right length. */
	RunnerStatus (*command)(RunnerDevice *dev, RunnerCommand *cmd);

	/* RUNNER_OK: the command is queued and will be ended by runner_complete(); its vectors, CDB
	 * and sense buffer stay valid until then.  Any other status: the command has ended with it.
	 * `length` and `offset` are bytes. */
	RunnerStatus (*execute)(RunnerDevice *dev, RunnerCommand *cmd);
	RunnerStatus (*read)(RunnerDevice *dev, RunnerCommand *cmd, struct iovec *iov, size_t count,
			     size_t length, off_t offset);
	RunnerStatus (*write)(RunnerDevice *dev, RunnerCommand *cmd, struct iovec *iov,
			      size_t count, size_t length, off_t offset);
} RunnerCallbacks;

/* Finds out the generation of this process and registers with it.  FALSE with UNSUPPORTED if that
 * generation is not served; the message names what was found.  `callbacks` must live for ever. */
gboolean runner_abi_register(const RunnerCallbacks *callbacks, GError **error);

/* Ends a queued command.  The caller must hold no lock: before this returns, the runner may call
 * back with the next step of a compound command, or remove the device.  Within the callback that
 * queued the command, it may be called only for a command that `command` saw as a plain READ or
 * WRITE: for compound commands C and D may deadlock, and other generations recurse until the stack
 * is exhausted. */
void runner_complete(RunnerDevice *dev, RunnerCommand *cmd, RunnerStatus status);

/* The command's CDB as the initiator sent it: 6, 10, 12 or 16 bytes by its operation code, or up to
 * 263 for 7Fh.  (Commands of the reserved and vendor-specific groups never get here.) */
const guint8 *runner_command_cdb(const RunnerCommand *cmd);

/* The command's whole data-out, or the room for its data-in.  *ret_count is 0 without data. */
const struct iovec *runner_command_data(const RunnerCommand *cmd, gsize *ret_count);

/* The command's sense buffer: RUNNER_SENSE_SIZE bytes, not zeroed.  `command` must not touch it
 * unless it returns RUNNER_SENSE_SET. */
#define RUNNER_SENSE_SIZE 96
guint8 *runner_command_sense(const RunnerCommand *cmd);

/* The plugin's own pointer, kept with the device. */
void *runner_device_private(RunnerDevice *dev);
void runner_device_set_private(RunnerDevice *dev, void *data);

const char *runner_device_cfgstring(RunnerDevice *dev);
/* The size that the runner assumes, in blocks, from the kernel's attribute: it refuses a READ or
 * WRITE beyond.  Setting it changes nothing else. */
guint64 runner_device_blocks(RunnerDevice *dev);
void runner_device_set_blocks(RunnerDevice *dev, guint64 blocks);
guint32 runner_device_block_size(RunnerDevice *dev);

/* Whether the kernel has a device with that cfgstring, served already or not. */
gboolean runner_is_given(const char *cfgstring);

/* The device's directory in configfs, or NULL.  Free the result. */
char *runner_device_directory(RunnerDevice *dev);

/* Whether the runner can handle target port groups whose state changes implicitly, for a handler
 * without lock callbacks.  If it cannot, it fails as soon as it looks at such a group. */
gboolean runner_deals_with_implicit_groups(void);

/* Whether the device existed before this process started, so that the runner is new and not the
 * device.  (The runner calls open() in the same way for both.) */
gboolean runner_device_served_before(RunnerDevice *dev);

/* Limits that the device reports to initiators, in logical blocks; to be set in open(). */
typedef struct {
	guint32 max_transfer;	   /* 0: leave the present value */
	guint32 unmap_granularity; /* a power of two */
} RunnerLimits;
void runner_device_set_limits(RunnerDevice *dev, const RunnerLimits *limits);
guint32 runner_device_max_transfer(RunnerDevice *dev);

/* Makes the runner's MODE SENSE report a write cache; by default it reports none. */
void runner_device_set_write_cache(RunnerDevice *dev);
