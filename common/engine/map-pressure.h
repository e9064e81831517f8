/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How soon a checkpoint must come.  Stands on map-private alone.
 */
#pragma once

#include "common/engine/map-private.h"

/* Sets `wants` and `pressure` by what there is. */
void pressure_update_locked(Map *map);
