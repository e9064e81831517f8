/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a machine offers, and which front end follows from it.
 *
 * TCMU is chosen where the kernel has it, the runner is installed and has our plugin, and
 * targetcli is there; FUSE where something of that is missing; the reason names the first thing
 * missing.  Decided by looking, never by the distribution's name, which only chooses the advice.
 *
 * The machine is the one that runs, or a sysroot of one that does not: then only its files
 * speak, nothing of it is executed or written, and the choice is the one that `attach` would make
 * once it runs; where nothing of ours is installed, once it is.
 *
 * Bounded in time: a few seconds if nothing on the machine answers.  Changes nothing: what is
 * merely not loaded or not running yet counts as there in PROBE_POSSIBLE.
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
	PROBE_POSSIBLE, /* could be made to work: by loading modules, starting the runner */
	PROBE_READY,	/* works now */
} ProbeDepth;

typedef struct {
	Sysroot *sysroot;
	gboolean running; /* the machine runs; otherwise what only that could tell is not known */
	gboolean bare; /* a sysroot with nothing of ours: what packages bring is taken as there */
	Kernel *kernel;
	guint n_kernels; /* in the sysroot */
	Platform *platform;
	const CompatibilityRow *row;
	ModuleState modules[PROBE_MODULES];
	KernelOption options[PROBE_MODULES];
	char *configfs;		 /* where it is mounted, or NULL */
	char *runner_program;	 /* NULL: not installed */
	char *targetcli_program; /* NULL: not installed */
	char *fuse_program;	 /* storageos-fuse; NULL: not installed */
	char *fuse_library;	 /* name of the libfuse that it is linked against, or NULL */
	gboolean fuse_library_found;
	char *fusermount_program; /* or NULL */
	gboolean fuse_device;	  /* /dev/fuse */
	gboolean loop_device;	  /* /dev/loop-control */
	RunnerBusStatus runner;
	RunnerProgram runner_files;
	RunnerProcess runner_process;
	RunnerPlugin runner_plugin;
	TcmuUsers tcmu;
	guint64 page_size;   /* bytes; 0: not known */
	MemoryLimits memory; /* of this process */
	MemoryLimits runner_memory;
} RuntimeProbe;

/* The machine that runs. */
RuntimeProbe *runtime_probe_new(void);

/* What lies in a sysroot directory, with the kernel of that release, or with NULL the one
 * that runs there, or its newest.  NOT_FOUND, IO. */
RuntimeProbe *runtime_probe_new_at(const char *directory, const char *release, GError **error);

void runtime_probe_free(RuntimeProbe *probe);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RuntimeProbe, runtime_probe_free)

const char *probe_module_name(ProbeModule module);

/* What the kernel has, loaded or not. */
gboolean runtime_probe_has_lio(const RuntimeProbe *probe);
gboolean runtime_probe_has_tcmu(const RuntimeProbe *probe);

/* --- What follows (runtime-choice.c) ---------------------------------------------------------- */

/* Why a front end cannot be used, or NULL if it can.  Free the result. */
char *runtime_probe_tcmu_obstacle(const RuntimeProbe *probe, ProbeDepth depth);
char *runtime_probe_fuse_obstacle(const RuntimeProbe *probe);

/* What `attach` will use if `wanted`, and in a line why.  FALSE if nothing can be used, with the
 * reason all the same. */
gboolean runtime_probe_choose(const RuntimeProbe *probe, Frontend wanted, Frontend *ret_chosen,
			      char **ret_reason);

/* The one next step towards `wanted` (with FRONTEND_AUTO: towards TCMU where there is a way, but
 * first to anything at all), or NULL where nothing is to be done or nothing helps.  Free the
 * result. */
char *runtime_probe_next_step(const RuntimeProbe *probe, Frontend wanted);

/* What may go wrong all the same, a line each, where `node_cache` bytes are configured; free with
 * g_ptr_array_unref(). */
GPtrArray *runtime_probe_warnings(const RuntimeProbe *probe, guint64 node_cache);
