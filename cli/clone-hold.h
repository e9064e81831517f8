/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The holds of linked clones on their bases (volume-base.h), whoever serves the base's volume.
 *
 * Threading: single-threaded.
 */
#pragma once

#include "common/service/config.h"
#include "common/service/pool-base.h"
#include "common/service/volume-name.h"

/* Puts the hold of the clone with that UUID on the base, or releases it, wherever that is and
 * whatever its name is by now.  Durable when it returns TRUE. */
gboolean clone_hold(const Config *config, const BaseIdentity *base, const char *uuid, gboolean hold,
		    GError **error);

/* Releases the hold of a clone that needs its base no more.  If that fails, says so, and how it is
 * done by hand. */
void clone_release(const Config *config, const BaseIdentity *base, const char *uuid);

/* FALSE with BUSY if `tag` is the hold of a linked clone that some pool has. */
gboolean clone_check_gone(const Config *config, const char *tag, GError **error);

/* What a tag stands for: "the linked clone POOL/NAME (...)", or itself.  Free the result. */
char *clone_describe_tag(const Config *config, const char *tag);
