/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a kernel has, by looking: /proc, /sys, the indexes in /lib/modules, the configuration.
 * Loads nothing, asks nobody, needs no privilege.
 *
 * The indexes are read as text, not with libkmod: it follows the offsets in modules.dep.bin without
 * checking them (version 30 loops or crashes on a damaged index), and it resolves links outside of
 * the sysroot.
 *
 * A kernel is either the one that runs, or one that lies in a sysroot; of the latter nobody can
 * tell what would be loaded.
 */
#pragma once

#include <glib.h>

#include "common/machine/kernel-config.h"
#include "common/machine/sysroot.h"

typedef enum {
	MODULE_MISSING,
	MODULE_LOADABLE, /* it is in the index, and there is a file */
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
	char *directory;   /* of its modules in the sysroot, or NULL */
	char *loadable;	   /* modules.dep, or NULL */
	char *built_in;	   /* modules.builtin, or NULL */
	gboolean may_load; /* modules can be loaded at all */
} Kernel;

/* The kernel that runs; `sysroot` is that of the running system.  Never NULL. */
Kernel *kernel_running(const Sysroot *sysroot);

/* The kernel of that release in a sysroot, or with NULL the one that its /proc says to run, or the
 * newest.  NOT_FOUND with those that are there.  `sysroot` must stay. */
Kernel *kernel_find(const Sysroot *sysroot, const char *release, GError **error);

/* The releases of all kernels in a sysroot, the newest first, those without modules last; free with
 * g_ptr_array_unref(). */
GPtrArray *kernel_list(const Sysroot *sysroot);

void kernel_free(Kernel *kernel);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Kernel, kernel_free)

/* `name` with underscores, as in /proc/modules; `options` are those of the configuration, without
 * CONFIG_, of which any stands for it, a space between. */
ModuleState kernel_module_state(const Kernel *kernel, const char *name, const char *options);
KernelOption kernel_module_option(const Kernel *kernel, const char *options);
