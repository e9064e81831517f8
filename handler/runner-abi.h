/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plugin interface of tcmu-runner, as its versions differ: the only module that knows it.
 *
 * The plugin is built without tcmu-runner's headers and linked with none of its libraries, so that
 * one binary can serve every version: symbols are looked up in the running process, the handler
 * structure is a block of bytes filled at the offsets of the generation that is found
 * (common/machine/runner-generation.h):
 *
 *     A  1.0.5 to 1.1.3        D  1.4.0, 1.4.1         G  1.5.4 and later
 *     B  1.2.0                 E  1.5.0 to 1.5.2
 *     C  1.3.0                 F  1.5.3
 *
 * Served: C to G, with their release candidates and the snapshots that distributions made of them.
 * A and B are refused by name: a handler does all of SCSI by itself there.  To serve another one: a
 * column in the table of layouts (runner-layout.h) and a row in that of conventions
 * (runner-abi-tables.c).
 *
 * Threading: runner_abi_register() first and alone; everything else from any thread.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/uio.h>

/* The runner's device (struct tcmu_device) and command (struct tcmulib_cmd or tcmur_cmd); never
 * looked into from outside of this module. */
typedef struct RunnerDevice RunnerDevice;
typedef struct RunnerCommand RunnerCommand;

/* How a command ends.  What is wrong with it is always told by sense data of the plugin's own
 * (sense.h): the numbers that the runner has for that differ between generations. */
typedef enum {
	RUNNER_OK,
	RUNNER_SENSE_SET,   /* CHECK CONDITION, with what is in the command's sense buffer */
	RUNNER_BUSY,	    /* BUSY */
	RUNNER_NO_RESOURCE, /* TASK SET FULL: the initiator sends it again */
	/* And, from `command` only: */
	RUNNER_NOT_HANDLED, /* the runner carries it out, with `read` and `write` */
	RUNNER_LATER,	    /* `execute` queues it */
} RunnerStatus;

/* What a device's owner wants changed (struct tcmulib_cfg_info: the same from C to G). */
typedef enum {
	RUNNER_RECONFIG_STRING = 0,
	RUNNER_RECONFIG_SIZE = 1,
	RUNNER_RECONFIG_WRITE_CACHE = 2,
} RunnerReconfigKind;

typedef struct {
	int kind; /* a RunnerReconfigKind, or one that we have never heard of */
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

	/* `cfgstring` as the user wrote it, with the subtype in front.  On false *reason is set
	 * to memory from malloc(). */
	bool (*check_config)(const char *cfgstring, char **reason);
	int (*reconfig)(RunnerDevice *dev, const RunnerReconfig *change); /* 0 or -errno */
	int (*open)(RunnerDevice *dev, bool reopen);			  /* 0 or -errno */
	void (*close)(RunnerDevice *dev);

	/* The rest is called by the device's dispatch thread, which must not sleep and is not
	 * cancelled meanwhile.
	 *
	 * Sees every command first: ends it at once with what it returns, or leaves it to the
	 * runner, or says RUNNER_LATER: then `execute` is called for it next, unless the runner has
	 * a reason to answer it itself (BUSY, during a recovery).  So it keeps nothing for then.
	 * A READ or WRITE that is left to the runner comes back as `read` or `write`, within the
	 * device and of the length of its data. */
	RunnerStatus (*command)(RunnerDevice *dev, RunnerCommand *cmd);

	/* These return RUNNER_OK where they have queued the command, which is then ended by
	 * runner_complete(), and anything else where it has failed and is not.  Vectors, CDB and
	 * sense buffer stay valid until then.  Bytes throughout. */
	RunnerStatus (*execute)(RunnerDevice *dev, RunnerCommand *cmd);
	RunnerStatus (*read)(RunnerDevice *dev, RunnerCommand *cmd, struct iovec *iov, size_t count,
			     size_t length, off_t offset);
	RunnerStatus (*write)(RunnerDevice *dev, RunnerCommand *cmd, struct iovec *iov,
			      size_t count, size_t length, off_t offset);
} RunnerCallbacks;

/* Finds out which generation this process is and registers with it.  FALSE with UNSUPPORTED where
 * it is none that we serve; the message names what was found.  `callbacks` must stay. */
gboolean runner_abi_register(const RunnerCallbacks *callbacks, GError **error);

/* Ends a command that was queued.  Hold no lock: the runner may call the next step of a compound
 * command, or the device's removal, before this returns.  Never from within the callback that
 * queued it: C and D deadlock for some commands, and others recurse until the stack is used up. */
void runner_complete(RunnerDevice *dev, RunnerCommand *cmd, RunnerStatus status);

/* A command's CDB as the initiator sent it: 6, 10, 12 or 16 bytes by its operation code, or up to
 * 263 for 7Fh.  (Commands of the reserved and vendor's groups never get here.) */
const guint8 *runner_command_cdb(const RunnerCommand *cmd);

/* All of its data: what came with it, or room for what is asked for; *ret_count 0: none. */
const struct iovec *runner_command_data(const RunnerCommand *cmd, gsize *ret_count);

/* Its sense buffer, of RUNNER_SENSE_SIZE bytes; not zeroed.  Not to be touched by `command`, unless
 * it returns RUNNER_SENSE_SET. */
#define RUNNER_SENSE_SIZE 96
guint8 *runner_command_sense(const RunnerCommand *cmd);

/* A pointer of the plugin's own, kept with the device. */
void *runner_device_private(RunnerDevice *dev);
void runner_device_set_private(RunnerDevice *dev, void *data);

const char *runner_device_cfgstring(RunnerDevice *dev);
/* How many the runner takes it to have, by the kernel's attribute; READ and WRITE that it lets
 * through end there.  Setting it changes nothing else. */
guint64 runner_device_blocks(RunnerDevice *dev);
void runner_device_set_blocks(RunnerDevice *dev, guint64 blocks);
guint32 runner_device_block_size(RunnerDevice *dev);

/* Whether the kernel has a device of that cfgstring, served or to be served. */
gboolean runner_is_given(const char *cfgstring);

/* The device's directory in configfs, or NULL.  Free the result. */
char *runner_device_directory(RunnerDevice *dev);

/* Whether it deals with target port groups whose state is changed implicitly, of a handler without
 * locks; if not, looking at one is an error to it. */
gboolean runner_deals_with_implicit_groups(void);

/* Whether the device was in use before this process started: it is the runner that is new.  (Both
 * ways it calls open() alike.) */
gboolean runner_device_served_before(RunnerDevice *dev);

/* What the device tells its initiators, in logical blocks; for use in open(). */
typedef struct {
	guint32 max_transfer;	   /* 0: leave it as it is */
	guint32 unmap_granularity; /* a power of two */
} RunnerLimits;
void runner_device_set_limits(RunnerDevice *dev, const RunnerLimits *limits);
guint32 runner_device_max_transfer(RunnerDevice *dev);

/* Has MODE SENSE say that there is a write cache; it says so only then. */
void runner_device_set_write_cache(RunnerDevice *dev);
