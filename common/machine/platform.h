/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which distribution a sysroot holds, and for which cloud its kernel was built: the name to show,
 * and the command that installs a package.  Never used to decide what the kernel can do.
 */
#pragma once

#include <glib.h>

#include "common/machine/sysroot.h"

/* Package managers. */
typedef enum {
	PACKAGES_OTHER,
	PACKAGES_APT,
	PACKAGES_DNF, /* and yum */
	PACKAGES_ZYPPER,
	PACKAGES_APK,
	PACKAGES_PACMAN,
} Packages;

typedef struct {
	char *id;      /* "ubuntu"; "" if not known */
	char *version; /* "18.04", or "" */
	char *name;    /* "Ubuntu 18.04, kernel for AWS" */
	char *flavour; /* of the kernel: "aws", "generic", or "" */
	char *problem; /* why os-release could not be read, or NULL */
	Packages packages;
	gboolean digitalocean;
} Platform;

/* Never NULL.  Values of os-release are cut to about 64 bytes, and to printable characters. */
Platform *platform_detect(const Sysroot *sysroot, const char *kernel_release);
void platform_free(Platform *platform);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Platform, platform_free)

/* The command that installs these packages, a list that ends with NULL.  Packages of others have
 * the names of upstream ("tcmu-runner", "targetcli").  Free the result. */
char *platform_install_step(const Platform *platform, const char *const *programs);
