/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pools that fill up, for those who watch volumes.
 */
#pragma once

#include "common/service/config.h"

/* A line for each pool that has passed a mark (key `warn`): "pool fast: 92 % of 1 TiB are taken,
 * 80 GiB are free (warn=90)"; only of the pools of the volumes `names` (of VolumeName *), unless it
 * is NULL.
 *
 * Asks only pools that a process that serves their volumes has seen pass a mark (pool-event.h), as
 * facts_ask_disks() does: 10 s at most.  Free with g_ptr_array_unref(). */
GPtrArray *full_pools(const Config *config, const GPtrArray *names);
