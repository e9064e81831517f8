/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pools of Ceph, and namespaces in them, as stores of images (store.h).  The marker is the object
 * `storageos-pool`.
 */
#pragma once

#include "common/backing/store.h"

extern const StoreOps store_rbd;
