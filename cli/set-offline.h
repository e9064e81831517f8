/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The properties that only a detached volume can change: `uuid=new`, `write_cache=on`,
 * `write_cache=off`.
 */
#pragma once

#include "cli/cli.h"

typedef struct OfflineProperty OfflineProperty;

/* NULL: the assignment is none of these. */
const OfflineProperty *set_offline_find(const char *assignment);

/* Whether the assignment is to one of their keys, whatever the value. */
gboolean set_offline_is_key(const char *assignment);

/* Changes it, and reports that; with `dry` only looks whether it can be changed. */
gboolean set_offline(const Cli *cli, const VolumeName *name, const OfflineProperty *property,
		     gboolean dry, GError **error);
