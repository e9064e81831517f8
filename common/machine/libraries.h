/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a sysroot keeps shared libraries: the usual directories, and their subdirectories for one
 * architecture (x86_64-linux-gnu).  The dynamic linker's cache is not read, so a library in any
 * other directory is not found.
 */
#pragma once

#include <glib.h>

#include "common/machine/sysroot.h"

/* All these directories, whether they exist or not; free with g_ptr_array_unref(). */
GPtrArray *libraries_directories(const Sysroot *sysroot);

/* The path of a library ("libfuse3.so.3"), or NULL.  Free the result. */
char *libraries_find(const Sysroot *sysroot, const char *name);
