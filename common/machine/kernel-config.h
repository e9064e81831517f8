/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration that a kernel was built with, where its distribution leaves it: beside the
 * kernel, among its modules, in the running kernel itself.  It tells what was never built from what
 * lies in a package that is not installed.
 */
#pragma once

#include <glib.h>

#include "common/machine/sysroot.h"

typedef enum {
	KERNEL_OPTION_UNKNOWN, /* there is no configuration to look at */
	KERNEL_OPTION_OFF,
	KERNEL_OPTION_MODULE,
	KERNEL_OPTION_BUILT_IN,
} KernelOption;

typedef struct KernelConfig KernelConfig;

/* Never NULL: without a configuration every option is unknown.  `running`: this kernel runs, and
 * may be asked itself. */
KernelConfig *kernel_config_load(const Sysroot *sysroot, const char *release, gboolean running);
void kernel_config_free(KernelConfig *config);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(KernelConfig, kernel_config_free)

/* Where it was found, or NULL. */
const char *kernel_config_file(const KernelConfig *config);

/* `name` without CONFIG_. */
KernelOption kernel_config_option(const KernelConfig *config, const char *name);
const char *kernel_option_name(KernelOption option);
