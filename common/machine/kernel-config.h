/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration that a kernel was built with.  Distributions keep it beside the kernel, among
 * its modules, or in the running kernel (/proc/config.gz).  It distinguishes a module that was
 * never built from one whose package is not installed.
 */
#pragma once

#include <glib.h>

#include "common/machine/sysroot.h"

typedef enum {
	KERNEL_OPTION_UNKNOWN, /* no configuration was found */
	KERNEL_OPTION_OFF,
	KERNEL_OPTION_MODULE,
	KERNEL_OPTION_BUILT_IN,
} KernelOption;

typedef struct KernelConfig KernelConfig;

/* Never NULL; if no configuration is found, every option is unknown.  `running`: this kernel runs,
 * so /proc/config.gz is its configuration. */
KernelConfig *kernel_config_load(const Sysroot *sysroot, const char *release, gboolean running);
void kernel_config_free(KernelConfig *config);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(KernelConfig, kernel_config_free)

/* The path of the configuration in the sysroot, or NULL if none was found. */
const char *kernel_config_file(const KernelConfig *config);

/* `name` does not include the prefix CONFIG_. */
KernelOption kernel_config_option(const KernelConfig *config, const char *name);
const char *kernel_option_name(KernelOption option);
