/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking the process that serves a volume: the client's half of control.h.
 */
#pragma once

#include "common/base/json.h"
#include "common/service/config.h"

/* Adds `version` to `request`, sends it, and returns the answer's `data`, which the caller owns.
 * Takes at most `seconds`.  Errors: NOT_FOUND (nobody serves the volume), INVALID (the server
 * refused; the message is its own), IO, CORRUPT. */
Json *control_call(const Config *config, const char *name, Json *request, guint seconds,
		   GError **error);
