/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which modules a kernel has, by /proc, /sys, the indexes in /lib/modules and the configuration of
 * the kernel.  Loads no module, starts no program, and needs no privilege.
 *
 * The indexes are read as text, not with libkmod: libkmod follows the offsets in modules.dep.bin
 * without checking them (version 30 loops or crashes on a damaged index), and follows symbolic
 * links out of the sysroot.
 *
 * A kernel is either the running one or one that is installed in a sysroot.  Of the latter,
 * no module is MODULE_LOADED: what it would load is not known.
 */
#pragma once

#include <glib.h>

#include "common/machine/kernel-config.h"
#include "common/machine/sysroot.h"

typedef enum {
	MODULE_MISSING,
	MODULE_LOADABLE, /* in the index, and its file exists; also while another process loads it:
			  * modprobe waits for that */
	MODULE_LOADED,
	MODULE_BUILT_IN,
} ModuleState;

const char *module_state_name(ModuleState state);

static inline gboolean module_is_active(ModuleState state)
{
	return state == MODULE_LOADED || state == MODULE_BUILT_IN;
}

typedef struct {
	const Sysroot *sysroot;
	char *release;
	gboolean running;
	KernelConfig *config;
	char *directory;   /* path of its modules in the sysroot, or NULL */
	char *loadable;	   /* text of modules.dep, or NULL */
	char *built_in;	   /* text of modules.builtin, or NULL */
	gboolean may_load; /* FALSE if kernel.modules_disabled is 1 */
} Kernel;

/* The running kernel; `sysroot` must be the running system's, and must outlive the result.  Never
 * NULL. */
Kernel *kernel_running(const Sysroot *sysroot);

/* Whether the running kernel has this version or a newer one. */
gboolean kernel_is_at_least(guint major_number, guint minor_number);

/* The kernel of this release in a sysroot.  If `release` is NULL: the kernel that runs according to
 * the sysroot's /proc, or else the newest one.  NOT_FOUND names the kernels that exist.  `sysroot`
 * must outlive the result. */
Kernel *kernel_find(const Sysroot *sysroot, const char *release, GError **error);

/* The releases of all kernels in a sysroot, newest first; kernels without modules come last.  Free
 * with g_ptr_array_unref(). */
GPtrArray *kernel_list(const Sysroot *sysroot);

void kernel_free(Kernel *kernel);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Kernel, kernel_free)

/* The state of a module.  `name` has underscores, as in /proc/modules.  `options` are the names of
 * its configuration options without CONFIG_, separated by spaces; any one of them builds it. */
ModuleState kernel_module_state(const Kernel *kernel, const char *name, const char *options);

/* How it was built: the strongest of its options. */
KernelOption kernel_module_option(const Kernel *kernel, const char *options);
