/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors of everything that is not the data path: one domain, few codes.  A code exists only
 * where a caller acts on it; the message carries the facts.  A function that fails sets the error
 * once and every caller on the way out may put its own fact in front of it with g_prefix_error().
 *
 * The data path (volume_read() and its sisters, every backing operation) returns 0 or a negative
 * errno instead and allocates nothing.
 */
#pragma once

#include <glib.h>

#define STORAGEOS_ERROR (storageos_error_quark())

typedef enum {
	STORAGEOS_ERROR_IO,	     /* a system call failed */
	STORAGEOS_ERROR_NO_SPACE,    /* the backing, or memory, is full */
	STORAGEOS_ERROR_CORRUPT,     /* what was read is not what was written */
	STORAGEOS_ERROR_NOT_FOUND,   /* no such volume, pool, device, file */
	STORAGEOS_ERROR_EXISTS,	     /* it is there already */
	STORAGEOS_ERROR_INVALID,     /* the caller's input is wrong */
	STORAGEOS_ERROR_UNSUPPORTED, /* this kernel, runner or format version cannot */
	STORAGEOS_ERROR_BUSY,	     /* somebody else holds it; the message says who */
} StorageosError;

GQuark storageos_error_quark(void);

/* Sets *error (which may be NULL) and returns FALSE, so that callers can return it. */
gboolean error_set(GError **error, StorageosError code, const char *format, ...)
	G_GNUC_PRINTF(3, 4);

/* The same from an errno value (positive or negative); appends ": " and its text. */
gboolean error_set_errno(GError **error, int err, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* The errno nearest to an error of any domain, positive; EIO where nothing fits. */
int error_to_errno(const GError *error);
