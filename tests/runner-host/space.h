/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

extern gint no_space; /* whether no file can be made larger; atomic */
