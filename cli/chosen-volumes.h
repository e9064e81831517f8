/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The volumes that the arguments of `check` and `scrub` choose: NAME..., or --all [POOL]...
 */
#pragma once

#include "cli/cli.h"

/* With `all`, every volume of the pools that the arguments name, or of all pools; not images of
 * Ceph, unless that pool is named.  A pool that cannot be read is told, makes *ret_status
 * CLI_FAILED, and does not keep the others from it.  Takes 10 s at most for each pool that does not
 * answer.
 *
 * NULL: the error has been printed, and *ret_status is what the verb must return.  Otherwise
 * (VolumeName *, each once) free with g_ptr_array_unref(). */
GPtrArray *chosen_volumes(const Cli *cli, const Verb *verb, gboolean all, int *ret_status);
