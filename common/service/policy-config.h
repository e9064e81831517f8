/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policies that the configuration's file states, and the volumes that they apply to.
 *
 *     [policy NAME]
 *     hourly=24  daily=7  weekly=4  monthly=12     how many of each are kept (policy.h); default 0
 *     freeze=auto                                  auto, require or never
 *     min_free=10%                                 of the file system, or a size
 *     max_held=200GiB                              that only snapshots still need
 *
 *     [volume POOL/NAME]
 *     policy=NAME
 *     group=NAME        volumes of one group are snapshotted at one instant
 *
 * Read by those who need policies, and not by config_load(): a mistake here must not keep a server
 * from opening its volumes.
 */
#pragma once

#include "common/service/config.h"
#include "common/service/policy.h"
#include "common/service/volume-name.h"

typedef struct {
	VolumeName *name;
	const Policy *policy;
	char *group; /* NULL: none */
} PolicyVolume;

typedef struct {
	GPtrArray *policies; /* of Policy *, in the order of the file */
	GPtrArray *volumes;  /* of PolicyVolume *, likewise */
	GPtrArray *warnings; /* of char *: unknown keys */
} Policies;

/* NULL with INVALID: a bad or missing value, a policy that there is not, a volume that is named
 * twice, a group whose volumes have several policies; or the errors of config_load(). */
Policies *policies_load(const Config *config, GError **error);
void policies_free(Policies *policies);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Policies, policies_free)
