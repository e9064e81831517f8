/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which runner this process is, and what that means: the tables behind runner-abi.c, which alone
 * uses them.
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
	const int *statuses;	   /* what a RunnerStatus is called there */
	gboolean wraps_commands;   /* callbacks get a struct tcmur_cmd, not a struct tcmulib_cmd */
	gboolean tells_reopen;	   /* open() has its second argument */
	gboolean completes_itself; /* by a function; else the command says what is to be called */
	gboolean waits_until_idle; /* before it tells the kernel what has been completed */
	gboolean wants_locks;	   /* of handlers, for target port groups of the type Implicit */
} RunnerConventions;

/* The runner's functions, as all generations have them; some have other names in some. */
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
	/* `split` is one argument more than C has, which does not hurt. */
	void (*set_opt_unmap_gran)(RunnerDevice *dev, guint32 blocks, bool split);
	void (*set_unmap_gran_align)(RunnerDevice *dev, guint32 blocks);
	void (*set_write_cache_enabled)(RunnerDevice *dev, bool enabled);
	void (*set_solid_state_media)(RunnerDevice *dev, bool enabled); /* or NULL */
} RunnerFunctions;

/* Finds out, has the plugin's log go to the runner's, and looks up the functions.  *ret_name: of
 * what was found, for people; free it.  NULL with UNSUPPORTED, and what was found, where it is none
 * that we serve. */
const RunnerConventions *runner_conventions_find(RunnerFunctions *ret_functions, char **ret_name,
						 GError **error);
