/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which runner this process is, and what follows from that: the tables behind runner-abi.c, their
 * only user.
 */
#pragma once

#include "handler/runner-abi.h"
#include "handler/runner-layout.h"

#define RUNNER_LAYOUT_MEMBER(member, c, d, e, f, g) guint8 member;
typedef struct {
	RUNNER_HANDLER_LAYOUT(RUNNER_LAYOUT_MEMBER)
} RunnerLayout;

typedef struct {
	RunnerLayout layout;
	const int *statuses;	   /* the runner's number for each RunnerStatus */
	gboolean wraps_commands;   /* callbacks get a struct tcmur_cmd, not a struct tcmulib_cmd */
	gboolean tells_reopen;	   /* open() gets its second argument */
	gboolean completes_itself; /* has cmd_complete(); else the command has a pointer `done` */
	gboolean waits_until_idle; /* tells the kernel of completions only when none is in flight */
	gboolean wants_locks; /* needs lock callbacks for target port groups of type Implicit */
} RunnerConventions;

/* The runner's functions that all generations have, some of them under different names. */
typedef struct {
	int (*register_handler)(void *handler);
	void (*cmd_complete)(RunnerDevice *dev, RunnerCommand *cmd, int status); /* or NULL */
	void (*processing_complete)(RunnerDevice *dev);
	void *(*get_private)(RunnerDevice *dev);
	void (*set_private)(RunnerDevice *dev, void *data);
	char *(*get_cfgstring)(RunnerDevice *dev);
	int (*get_fd)(RunnerDevice *dev); /* of the UIO device */
	guint64 (*get_num_lbas)(RunnerDevice *dev);
	void (*set_num_lbas)(RunnerDevice *dev, guint64 blocks);
	guint32 (*get_block_size)(RunnerDevice *dev);
	guint32 (*get_max_xfer_len)(RunnerDevice *dev);
	void (*set_max_xfer_len)(RunnerDevice *dev, guint32 blocks);
	/* C has no argument `split`; passing one more is harmless. */
	void (*set_opt_unmap_gran)(RunnerDevice *dev, guint32 blocks, bool split);
	void (*set_unmap_gran_align)(RunnerDevice *dev, guint32 blocks);
	void (*set_write_cache_enabled)(RunnerDevice *dev, bool enabled);
	void (*set_solid_state_media)(RunnerDevice *dev, bool enabled); /* or NULL */
} RunnerFunctions;

/* Finds out the generation, connects the plugin's log to the runner's, and looks the functions up.
 * *ret_name is what was found, for messages; free it.  NULL with UNSUPPORTED if the generation is
 * not served; the message says what was found. */
const RunnerConventions *runner_conventions_find(RunnerFunctions *ret_functions, char **ret_name,
						 GError **error);
