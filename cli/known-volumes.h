/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which volumes there are on this machine.
 */
#pragma once

#include "common/service/config.h"
#include "common/service/pool.h"

/* Every volume (VolumeName *) that could be attached, each once: the volumes of the pools, those
 * with a state file, those of the registry, and those that have a backstore.  A pool that cannot be
 * read is left out; takes 10 s at most for each that does not answer.  Free with
 * g_ptr_array_unref(). */
GPtrArray *known_volumes(const Config *config);
