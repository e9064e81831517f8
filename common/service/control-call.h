/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking the process that serves a volume: the client's half of control.h.
 */
#pragma once

#include "common/base/json.h"
#include "common/service/config.h"

/* Sends `request`, whose `version` is added, and returns the answer's `data`.  Takes `seconds` at
 * most.  NOT_FOUND: nobody serves there; INVALID: the server refused, and says why; IO, CORRUPT. */
Json *control_call(const Config *config, const char *name, Json *request, guint seconds,
		   GError **error);
