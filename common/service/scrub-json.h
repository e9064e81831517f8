/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a scrub is reported in JSON.
 */
#pragma once

#include "common/base/json.h"
#include "common/check/scrub.h"

/* As the control socket and `storageos scrub --json` tell it:
 *     running, complete, rate, begun, ended, fraction, blocks, copies, errors, repaired,
 *     problem (only if it could not go on), lost: [{offset, length}...] (bytes of the volume) */
Json *scrub_to_json(Scrub *scrub);
