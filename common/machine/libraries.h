/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where shared libraries are in a root: the usual directories, and those below them for each
 * machine type.  What is only in the dynamic linker's cache is not found.
 */
#pragma once

#include <glib.h>

#include "common/machine/root.h"

/* The directories, those of the machine types included; free with g_ptr_array_unref(). */
GPtrArray *libraries_directories(const Root *root);

/* The path of a library ("libfuse3.so.3"), or NULL.  Free the result. */
char *libraries_find(const Root *root, const char *name);
