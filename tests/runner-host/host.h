/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tcmu-runner in the test's own process, as a plugin meets it: built once for each generation
 * (include/tcmu-runner.h), with that one's symbols, structures, order of calls, threads and
 * statuses.  What the tests see of it is the same for all.
 *
 *     Command    what an initiator sent: CDB and data; status and sense data in the end
 *     Dev        a device: its dispatch thread takes commands from its queue, the "ring", wraps
 * each in memory that is gone when it has been completed, and gives it to the plugin as that
 * generation does.  What has been completed is seen by the initiator when the kernel has been told:
 * at once, but for generation C, where the runner tells it when the last command of a device has
 * been completed
 *
 * Left out are the runner's own checks of READ and WRITE but that they end inside of the device
 * (the plugin's are tested), and of what it answers itself all but TEST UNIT READY and INQUIRY.
 * What the plugin must not do is a failed check.
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

/* SCSI's statuses. */
enum {
	STS_OK = 0x00,
	STS_SENSE = 0x02,
	STS_BUSY = 0x08,
	STS_NO_RESOURCE = 0x28,
};

struct tcmu_device {
	/* What the test sets. */
	char cfgstring[256];
	guint64 num_lbas;
	guint32 block_size, max_xfer_len;
	gint recovering; /* atomic */

	/* What the plugin sets. */
	void *private_data;
	guint32 opt_unmap_gran, unmap_gran_align;
	bool split_unmaps, write_cache, solid_state;

	/* The host's own. */
	void *runners_own; /* a handler that takes its accessor for its own overwrites it */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	Command *queue, *told_late;
	int in_flight;
	gint unit_attention; /* atomic */
	gint gone;	     /* atomic */
};

/* Loads the plugin and calls its handler_init(); FALSE where that is not to be had, or refused. */
gboolean host_load(const char *path);

/* "1.5.4 to 1.6.2": the versions that this one is like. */
extern const char *const host_name;

/* What a handler's registration is to look like, whatever the generation. */
gboolean host_handler_is_complete(void);
gboolean host_check_config(const char *cfgstring, char **reason);

/* Everything logged so far; free the result. */
char *host_log_text(void);

/* Called around what the host needs for itself, so that tests which make calls fail leave that
 * alone.  May be NULL. */
extern void (*host_own_calls)(gboolean begin);

/* ---- devices */

#define HOST_THREAD "host-dispatch" /* the name of a device's */

/* As the runner does when the kernel tells of a device, or when it starts and finds one: 0, or what
 * the plugin refused it with. */
int dev_add(Dev *dev);

/* Waits for the last command, cancels the thread, closes. */
void dev_remove(Dev *dev);

/* A change of an attribute in configfs: 0 or -errno. */
int dev_reconfig(Dev *dev, int type, const char *cfgstring, guint64 size);

/* ---- commands */

/* Called in the thread that completes.  TRUE: it goes on with the next step, and is not done. */
typedef gboolean (*CommandDone)(Command *command);

struct Command {
	guint8 cdb[32];
	struct iovec iov[64];
	gsize iov_cnt;
	guint8 sense[96];
	int status;
	gint completed; /* how many times, as the initiator sees it; atomic */
	GThread *by;	/* that completed it */
	CommandDone done;
	void *data;

	Dev *dev;
	Command *next;
	void *wrapped; /* what the plugin has got */
};

/* Its data is in pieces of `piece` bytes (0: in one). */
void command_init(Command *command, Dev *dev, guint8 opcode, void *data, gsize length, gsize piece);

/* Puts an address and a number of blocks into the CDB, where its operation code has them. */
void command_set_range(Command *command, guint64 lba, guint64 blocks);

/* Queues it. */
void command_begin(Command *command);

/* Waits for its completion and returns its status.  Where that takes too long the program ends. */
int command_wait(Command *command);

int command_send(Command *command); /* both */

/* As command_begin(), but dispatched by the calling thread.  TRUE: the plugin has queued it. */
gboolean command_dispatch(Command *command);

/* From its `done`: one more write, of all its data at `offset`, as the next step of a compound
 * command. */
void command_next_write(Command *command, guint64 offset);

/* The whole life of one. */
int run_range(Dev *dev, guint8 opcode, void *data, gsize length, guint64 lba, guint64 blocks);
int run_read(Dev *dev, void *data, gsize length, guint64 offset);
int run_write(Dev *dev, const void *data, gsize length, guint64 offset);
int run_flush(Dev *dev);
int run_unmap(Dev *dev, guint64 offset, guint64 length);
