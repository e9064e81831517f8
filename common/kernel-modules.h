/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the running kernel has, by looking: /proc, /sys and /lib/modules.  Loads nothing, asks
 * nobody, needs no privilege.
 */
#pragma once

#include <glib.h>

typedef enum {
	MODULE_MISSING,
	MODULE_LOADABLE, /* there is a file for this kernel */
	MODULE_LOADED,
	MODULE_BUILT_IN,
} ModuleState;

/* `name` with underscores, as in /proc/modules. */
ModuleState kernel_module_state(const char *name);
const char *module_state_name(ModuleState state);

static inline gboolean module_is_active(ModuleState state)
{
	return state == MODULE_LOADED || state == MODULE_BUILT_IN;
}

char *kernel_release(void);

/* Where configfs is mounted, or NULL. */
char *kernel_configfs(void);

/* Whether the generic netlink family of TCMU is registered, by which the kernel tells the runner
 * of its devices. */
gboolean kernel_has_tcmu_netlink(void);
