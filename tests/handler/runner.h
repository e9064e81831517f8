/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stand-in for tcmu-runner 1.5.4 in the test's own process: the symbols that it exports, its
 * handler structure and its command, laid out as its are.  It loads the plugin as that does.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/uio.h>

typedef struct tcmu_device Dev;

/* Statuses, as the runner numbers them. */
enum {
	STS_NOT_HANDLED = -1,
	STS_OK = 0,
	STS_NO_RESOURCE = 1,
	STS_SENSE = 2,
	STS_BUSY = 3,
	STS_INVALID = 7,
};

struct tcmulib_cmd {
	guint16 cmd_id;
	guint8 *cdb;
	struct iovec *iovec;
	size_t iov_cnt;
	guint8 sense_buf[96];
	void *hm_private;
};

struct tcmulib_cfg_info {
	int type;
	union {
		guint64 dev_size;
		const char *cfgstring;
		bool write_cache;
	} data;
};

/* Commands are handed to the plugin as void: they are not aligned. */
typedef struct {
	const char *name, *subtype, *cfg_desc;
	void *opaque;
	bool (*check_config)(const char *cfgstring, char **reason);
	int (*reconfig)(Dev *dev, struct tcmulib_cfg_info *cfg);
	int (*open)(Dev *dev, bool reopen);
	void (*close)(Dev *dev);
	int nr_threads;
	int (*handle_cmd)(Dev *dev, void *cmd);
	int (*read)(Dev *dev, void *cmd, struct iovec *iov, size_t count, size_t length, off_t at);
	int (*write)(Dev *dev, void *cmd, struct iovec *iov, size_t count, size_t length, off_t at);
	int (*flush)(Dev *dev, void *cmd);
	int (*unmap)(Dev *dev, void *cmd, guint64 offset, guint64 length);
	void *unused[11];
} Handler;

/* What the plugin registered. */
extern Handler *runner_handler;

struct tcmu_device {
	void *private_data;
	char cfgstring[256];
	guint64 num_lbas;
	guint32 block_size;
	guint32 max_xfer_len, opt_unmap_gran, unmap_gran_align;
	bool split_unmaps, write_cache, solid_state;
};

/* Loads the plugin and calls its handler_init(); FALSE where that is not to be had, or refused. */
gboolean runner_load(const char *path);

/* Everything logged so far; free the result. */
char *runner_log_text(void);

/* A command: its data is in pieces of `piece` bytes (0: in one). */
typedef struct Command Command;

/* Called in the thread that completes.  TRUE: it went on with the next step, and is not done. */
typedef gboolean (*CommandDone)(Command *command);

struct Command {
	struct tcmulib_cmd lib;
	guint8 cdb[16];
	struct iovec iov[64];
	Dev *dev;
	void *handle;	  /* what the plugin gets */
	guint8 room[128]; /* that lies in here, at an odd place */
	int status;	  /* what it was completed with */
	int completed;	  /* how many times; atomic */
	GThread *by;
	CommandDone done;
	void *data;
};

void command_init(Command *command, Dev *dev, guint8 opcode, void *data, gsize length, gsize piece);

/* Waits for its completion, 20 s at most, and returns its status, or -1. */
int command_wait(Command *command);

/* What the plugin answered, at once or later. */
int command_finish(Command *command, int answer);

/* Puts an address and a number of blocks into the CDB, where its operation code has them. */
void command_set_range(Command *command, guint64 lba, guint64 blocks);

/* As the runner sends a command to the plugin: to handle_cmd, and then, unless that ended it, to
 * read, write or flush.  STS_OK: it will be completed.  STS_INVALID: it is none of these. */
int command_begin(Command *command);
/* And what it was answered in the end. */
int command_send(Command *command);

/* The whole life of one. */
int run_range(Dev *dev, guint8 opcode, void *data, gsize length, guint64 lba, guint64 blocks);
int run_read(Dev *dev, void *data, gsize length, guint64 offset);
int run_write(Dev *dev, const void *data, gsize length, guint64 offset);
int run_flush(Dev *dev);

/* ---- what the plugin meets of the system: this process's functions take precedence */

extern const char *enabled_text; /* what configfs says of the device uio7; NULL: there is none */
extern gint clock_skew;		 /* seconds that every thread but the main one is ahead; atomic */
extern gint clock_cancels;	 /* whether asking for the time is a cancellation point; atomic */
extern gint fdatasync_calls;	 /* atomic */
extern gint fdatasync_error;	 /* errno to fail with; atomic */
extern gint fdatasync_delay;	 /* us; atomic */
