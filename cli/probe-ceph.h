/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `probe` says of Ceph: the module's version, and for each pool of Ceph in the configuration
 * whether its cluster answers.
 */
#pragma once

#include "common/base/json.h"
#include "common/service/config.h"

#define PROBE_CEPH_SECONDS 5u

/* An object with `module` (its version), `problem` (why there is none) and `pools` (a list of
 * `pool`, `rbd`, `answers`, `problem`, `available`).  Takes PROBE_CEPH_SECONDS at most. */
Json *probe_ceph(const Config *config);

/* The same for people.  Nothing is said where there is neither a module nor a pool of Ceph. */
void probe_ceph_print(const Config *config, void (*line)(const char *name, const char *text));
