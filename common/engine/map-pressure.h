/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How soon a checkpoint must come.  Stands on map-private alone.
 */
#pragma once

#include "common/engine/map-private.h"

/* Computes `wants` and `pressure` from the nodes and slots that there are now. */
void pressure_update_locked(Map *map);
