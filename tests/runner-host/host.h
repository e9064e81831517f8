/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tcmu-runner in the test's own process, as a plugin meets it: built once for each generation
 * (include/tcmu-runner.h), with that generation's symbols, structures, order of calls,
 * threads and statuses.  The tests' interface to it is the same for all generations.
 *
 *     Command    a command of an initiator: CDB and data, and finally status and sense data
 *     Dev        a device.  Its dispatch thread takes commands from its queue, the "ring", wraps
 * each in memory that is freed at its completion, and hands it to the plugin as the runner of that
 * generation does
 *
 * The initiator sees a completion when the kernel is notified: at once or, in generation C, when
 * the last command of the device has been completed.
 *
 * Of the runner's own checks of READ and WRITE, only the check that they end inside the device is
 * here (the tests are about the plugin's checks).  Of the commands that the runner answers itself,
 * only TEST UNIT READY and INQUIRY are.  A plugin that breaks the interface's rules fails a check.
 *
 * Threading: devices are added and removed by one thread; commands are sent by any.
 */
#pragma once

#include <glib.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/uio.h>

typedef struct Command Command;
typedef struct tcmu_device Dev;

struct tcmulib_cfg_info;

/* SCSI statuses. */
enum {
	STS_OK = 0x00,
	STS_SENSE = 0x02,
	STS_BUSY = 0x08,
	STS_NO_RESOURCE = 0x28,
};

struct tcmu_device {
	/* Set by the test. */
	char cfgstring[256];
	guint64 num_lbas;
	guint32 block_size, max_xfer_len;
	gint recovering; /* atomic */

	/* Set by the plugin. */
	void *private_data;
	guint32 opt_unmap_gran, unmap_gran_align;
	bool split_unmaps, write_cache, solid_state;

	/* Private to the host. */
	void *runners_own; /* overwritten by a handler that mistakes its accessor for the handler's
			      own */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	Command *queue, *told_late;
	int in_flight;
	gint unit_attention; /* atomic */
	gint gone;	     /* atomic */
};

/* Loads the plugin and calls its handler_init().  FALSE if there is none, or if it refuses. */
gboolean host_load(const char *path);

/* "1.5.4 to 1.6.2": the versions of tcmu-runner that this host imitates. */
extern const char *const host_name;

/* Whether the plugin's registration has what every generation requires. */
gboolean host_handler_is_complete(void);
gboolean host_check_config(const char *cfgstring, char **reason);

/* Everything logged so far; free the result. */
char *host_log_text(void);

/* Called before and after calls that the host makes for itself, so that tests which inject faults
 * spare these calls.  May be NULL. */
extern void (*host_own_calls)(gboolean begin);

/* ---- devices */

#define HOST_THREAD "host-dispatch" /* the name of a device's dispatch thread */

/* Adds a device, as the runner does when the kernel announces one or when it starts and finds one.
 * 0, or the errno with which the plugin refused it. */
int dev_add(Dev *dev);

/* Waits for the last command, cancels the thread, closes. */
void dev_remove(Dev *dev);

/* A change of an attribute in configfs: 0 or -errno. */
int dev_reconfig(Dev *dev, int type, const char *cfgstring, guint64 size);

/* ---- commands */

/* Called in the thread that completes the command.  TRUE: the command is not done but continues
 * with its next step. */
typedef gboolean (*CommandDone)(Command *command);

struct Command {
	guint8 cdb[32];
	struct iovec iov[64];
	gsize iov_cnt;
	guint8 sense[96];
	int status;
	gint completed; /* how many times, as the initiator sees it; atomic */
	GThread *by;	/* the thread that completed it */
	CommandDone done;
	void *data;

	Dev *dev;
	Command *next;
	void *wrapped; /* the plugin's view of the command */
};

/* The data is passed in pieces of `piece` bytes (0: in one piece). */
void command_init(Command *command, Dev *dev, guint8 opcode, void *data, gsize length, gsize piece);

/* Puts an address and a number of blocks into the fields that the CDB's operation code has for
 * them. */
void command_set_range(Command *command, guint64 lba, guint64 blocks);

/* Puts the command into the device's queue. */
void command_begin(Command *command);

/* Waits for the completion and returns the status.  Ends the program after a minute. */
int command_wait(Command *command);

int command_send(Command *command); /* command_begin() and command_wait() */

/* Dispatches the command in the calling thread.  TRUE: the plugin has queued it. */
gboolean command_dispatch(Command *command);

/* To be called from the command's `done`: writes all its data at `offset`, as the next step of a
 * compound command. */
void command_next_write(Command *command, guint64 offset);

/* These make a command, send it, and return its status. */
int run_range(Dev *dev, guint8 opcode, void *data, gsize length, guint64 lba, guint64 blocks);
int run_read(Dev *dev, void *data, gsize length, guint64 offset);
int run_write(Dev *dev, const void *data, gsize length, guint64 offset);
int run_flush(Dev *dev);
int run_unmap(Dev *dev, guint64 offset, guint64 length);
