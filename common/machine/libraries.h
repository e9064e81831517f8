/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where shared libraries are in a sysroot: the usual directories, and those below them for each
 * machine type.  What is only in the dynamic linker's cache is not found.
 */
#pragma once

#include <glib.h>

#include "common/machine/sysroot.h"

/* The directories, those of the machine types included; free with g_ptr_array_unref(). */
GPtrArray *libraries_directories(const Sysroot *sysroot);

/* The path of a library ("libfuse3.so.3"), or NULL.  Free the result. */
char *libraries_find(const Sysroot *sysroot, const char *name);
