/* SPDX-License-Identifier: Apache-2.0 */
/* The one place that includes libfuse: everything over the low-level API of 3.12 or later. */
#pragma once

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>
