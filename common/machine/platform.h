/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which distribution a sysroot holds, and for which cloud its kernel was built.  It says what
 * people call the platform, and what they do there to get what is missing; never what the kernel
 * can.
 */
#pragma once

#include <glib.h>

#include "common/machine/sysroot.h"

/* Where packages come from. */
typedef enum {
	PACKAGES_OTHER,
	PACKAGES_APT,
	PACKAGES_DNF, /* and yum */
	PACKAGES_ZYPPER,
	PACKAGES_APK,
	PACKAGES_PACMAN,
} Packages;

typedef struct {
	char *id;      /* "ubuntu"; "" where nothing is known */
	char *version; /* "18.04", or "" */
	char *name;    /* "Ubuntu 18.04, kernel for AWS" */
	char *flavour; /* of the kernel's release: "aws", "generic", or "" */
	char *problem; /* why os-release could not be used, or NULL */
	Packages packages;
	gboolean digitalocean;
} Platform;

/* Never NULL.  What os-release says is cut to a length and to printable characters. */
Platform *platform_detect(const Sysroot *sysroot, const char *kernel_release);
void platform_free(Platform *platform);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Platform, platform_free)

/* How one installs what upstream calls by these names ("tcmu-runner", "targetcli"), and packages of
 * ours; NULL at the end.  Free the result. */
char *platform_install_step(const Platform *platform, const char *const *programs);
