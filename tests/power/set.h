/* SPDX-License-Identifier: Apache-2.0 */
/* A set of hashes: millions of them at eight bytes each. */
#pragma once

#include <glib.h>

typedef struct Set Set;

Set *set_new(void);
void set_free(Set *set);

/* FALSE if the set already had the hash. */
gboolean set_add(Set *set, guint64 hash);
