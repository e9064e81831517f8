/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each kind of medium (medium.h) does.
 */
#pragma once

#include "cli/medium.h"

typedef struct {
	gboolean (*extent)(Medium *medium, guint64 offset, MediumState *ret_state,
			   guint64 *ret_length, GError **error);
	gboolean (*read)(Medium *medium, guint thread, guint8 *buffer, gsize length, guint64 offset,
			 GError **error);
	gboolean (*write)(Medium *medium, guint thread, const guint8 *buffer, gsize length,
			  guint64 offset, GError **error);
	gboolean (*flush)(Medium *medium, GError **error);
	void (*stop)(Medium *medium);			   /* NULL: nothing waits for long */
	gboolean (*close)(Medium *medium, GError **error); /* also frees it */
} MediumOps;

/* The first member of each kind. */
struct Medium {
	const MediumOps *ops;
	guint64 size;
};
