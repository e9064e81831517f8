/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where this machine is configured to find a volume by its name.
 */
#pragma once

#include "cli/places.h"

/* The places (char *, one line each) that name the volume or one of its snapshots: enabled units,
 * the target's saved configuration, fstab, crypttab, and groups of the configuration.  What cannot
 * be read is left out.  Free with g_ptr_array_unref(). */
GPtrArray *name_uses(const Places *places);
