/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this machine offers, and which front end follows from it.
 *
 * TCMU is chosen where the kernel has it, the runner is installed and has our plugin, and
 * targetcli is there; FUSE where something of that is missing; the reason names the first thing
 * missing.  Decided by looking, never by the distribution's name, which only chooses the advice.
 *
 * Bounded in time: a few seconds if nothing on the machine answers.  Changes nothing: what is
 * merely not loaded or not running yet counts as there in PROBE_POSSIBLE.
 */
#pragma once

#include <glib.h>

#include "common/config.h"
#include "common/kernel-modules.h"
#include "common/runner-bus.h"

typedef enum {
	PROBE_TARGET_CORE_MOD,
	PROBE_TARGET_CORE_USER,
	PROBE_TCM_LOOP,
	PROBE_UIO,
	PROBE_CONFIGFS,
	PROBE_FUSE,
	PROBE_LOOP,
} ProbeModule;
#define PROBE_MODULES (PROBE_LOOP + 1)

typedef enum {
	PROBE_POSSIBLE, /* could be made to work: by loading modules, starting the runner */
	PROBE_READY,	/* works now */
} ProbeDepth;

typedef struct {
	char *kernel;
	char *platform; /* the distribution and what is special about its kernel */
	ModuleState modules[PROBE_MODULES];
	gboolean configfs_mounted;
	gboolean tcmu_netlink;
	char *runner_program;	 /* NULL: not installed */
	char *targetcli_program; /* NULL: not installed */
	char *fuse_program;	 /* storageos-fuse; NULL: not installed */
	RunnerStatus runner;
} RuntimeProbe;

RuntimeProbe *runtime_probe_new(void);
void runtime_probe_free(RuntimeProbe *probe);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RuntimeProbe, runtime_probe_free)

const char *probe_module_name(ProbeModule module);

/* Why a front end cannot be used, or NULL if it can.  Free the result. */
char *runtime_probe_tcmu_obstacle(const RuntimeProbe *probe, ProbeDepth depth);
char *runtime_probe_fuse_obstacle(const RuntimeProbe *probe);

/* What to do so that TCMU could be used, where that is known and there is something to do; or
 * NULL.  Free the result. */
char *runtime_probe_next_step(const RuntimeProbe *probe);

/* What `attach` will use if `wanted`, and in a line why.  FALSE if nothing can be used, with the
 * reason all the same. */
gboolean runtime_probe_choose(const RuntimeProbe *probe, Frontend wanted, Frontend *ret_chosen,
			      char **ret_reason);
