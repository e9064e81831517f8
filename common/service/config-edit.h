/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changing the configuration's file.
 */
#pragma once

#include "common/service/config.h"

/* Keeps others from changing the configuration's file meanwhile; the descriptor to close, or -1:
 * BUSY. Nobody but root can take it. */
int config_lock(const Config *config, GError **error);

/* Adds the group of one pool to the file (or changes it), which is made if need be, keeping all
 * else as it is; durable when it returns TRUE.  INVALID for what would not be read back as it is.
 * The caller holds the lock. */
gboolean config_add_pool(const Config *config, const ConfigPool *pool, GError **error);

/* Takes it out of the file; as above. */
gboolean config_remove_pool(const Config *config, const char *name, GError **error);
