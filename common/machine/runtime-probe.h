/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a machine offers, and which front end follows.
 *
 * TCMU is chosen if the kernel has TCMU, tcmu-runner is installed with our plugin, and targetcli is
 * installed.  If any of these is missing, FUSE is chosen, and the reason names the first one that
 * is missing.  The choice depends only on what is found; the name of the distribution only selects
 * the advice.
 *
 * The machine is either the running one or a sysroot.  Of a sysroot only files are read: nothing in
 * it is executed or written.  The choice is then the one that `attach` would make once the sysroot
 * runs; if none of our packages is installed there, once they are.
 *
 * Takes a few seconds at most, even if nothing on the machine answers, unless the caller has more
 * patience with a tcmu-runner that is slow.  Changes nothing: at
 * PROBE_POSSIBLE, a module that can be loaded and a runner that can be started count as present.
 */
#pragma once

#include <glib.h>

#include "common/machine/compatibility.h"
#include "common/base/frontend.h"
#include "common/machine/kernel-modules.h"
#include "common/machine/memory-limits.h"
#include "common/machine/platform.h"
#include "common/machine/sysroot.h"
#include "common/machine/runner-bus.h"
#include "common/machine/runner-process.h"
#include "common/machine/runner-program.h"
#include "common/machine/tcmu-users.h"

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
	PROBE_POSSIBLE, /* works after loading modules and starting the runner */
	PROBE_READY,	/* works now */
} ProbeDepth;

typedef struct {
	Sysroot *sysroot;
	gboolean running; /* the running machine; a sysroot lacks what probe_machine() finds */
	gboolean bare;	  /* a sysroot without our packages: they count as installed */
	Kernel *kernel;
	guint n_kernels; /* in the sysroot */
	Platform *platform;
	const CompatibilityRow *row;
	ModuleState modules[PROBE_MODULES];
	KernelOption options[PROBE_MODULES];
	char *configfs;		 /* where configfs is mounted, or NULL */
	char *runner_program;	 /* NULL: not installed */
	char *targetcli_program; /* NULL: not installed */
	char *fuse_program;	 /* storageos-fuse; NULL: not installed */
	char *fuse_library;	 /* libfuse that storageos-fuse is linked against, or NULL */
	gboolean fuse_library_found;
	char *fusermount_program; /* NULL: not installed */
	gboolean fuse_device;	  /* /dev/fuse exists */
	gboolean loop_device;	  /* /dev/loop-control exists */
	RunnerBusStatus runner;
	RunnerProgram runner_files;
	RunnerProcess runner_process;
	RunnerPlugin runner_plugin;
	TcmuUsers tcmu;
	guint64 page_size;	    /* bytes; 0: not known */
	MemoryLimits memory;	    /* of this process */
	MemoryLimits runner_memory; /* of tcmu-runner */
} RuntimeProbe;

/* Probes the running machine.  NULL: the usual patience with tcmu-runner, a few seconds. */
RuntimeProbe *runtime_probe_new(const RunnerPatience *patience);

/* Probes a sysroot directory with the kernel of this release.  If `release` is NULL: the kernel
 * that runs according to the sysroot's /proc, or else the newest.  NOT_FOUND, IO. */
RuntimeProbe *runtime_probe_new_at(const char *directory, const char *release, GError **error);

void runtime_probe_free(RuntimeProbe *probe);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RuntimeProbe, runtime_probe_free)

const char *probe_module_name(ProbeModule module);

/* Whether the kernel has these modules, loaded or not. */
gboolean runtime_probe_has_lio(const RuntimeProbe *probe);
gboolean runtime_probe_has_tcmu(const RuntimeProbe *probe);

/* --- Conclusions (runtime-choice.c) ----------------------------------------------------------- */

/* Why a front end cannot be used, or NULL if it can.  Free the result. */
char *runtime_probe_tcmu_obstacle(const RuntimeProbe *probe, ProbeDepth depth);
char *runtime_probe_fuse_obstacle(const RuntimeProbe *probe);

/* Whether TCMU may work although there is an obstacle: something could not be found out.  FUSE is
 * not chosen for that, because the choice would depend on the moment. */
gboolean runtime_probe_is_unsure(const RuntimeProbe *probe, ProbeDepth depth);

/* The front end that `attach` would use for `wanted`, and the reason in one line.  FALSE if it
 * cannot be used; the reason is set in either case. */
gboolean runtime_probe_choose(const RuntimeProbe *probe, Frontend wanted, Frontend *ret_chosen,
			      char **ret_reason);

/* The next step towards `wanted`, or NULL if nothing is to be done or nothing helps.  FRONTEND_AUTO
 * means TCMU if it is within reach; but if neither front end works, whichever is nearer.  Free the
 * result. */
char *runtime_probe_next_step(const RuntimeProbe *probe, Frontend wanted);

/* What may go wrong although a front end works, one line each.  `node_cache` is the configured size
 * in bytes.  Free with g_ptr_array_unref(). */
GPtrArray *runtime_probe_warnings(const RuntimeProbe *probe, guint64 node_cache);
