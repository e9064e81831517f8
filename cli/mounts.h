/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is mounted, from /proc/self/mountinfo.
 */
#pragma once

#include <glib.h>
#include <sys/types.h>

/* The type of what is mounted on `directory`, topmost; NULL if nothing is.  Touches nothing of it,
 * so that a dead server does no harm. */
char *mounts_type_at(const char *directory);

/* Where a file system that lives on this device is mounted, or NULL. */
char *mounts_of_device(dev_t device, const char *path);
