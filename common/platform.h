/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which distribution this is, and what people do there to get what is missing.  For advice only.
 */
#pragma once

#include <glib.h>

/* "Ubuntu 18.04, kernel for AWS"; free the result. */
char *platform_name(const char *kernel_release);

/* What to do on a kernel that lacks TCMU, or NULL where nothing helps or is known. */
char *platform_kernel_advice(const char *kernel_release);

/* How one installs what upstream calls `program`. */
char *platform_install_advice(const char *program);
