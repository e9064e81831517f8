/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors outside the data path: one domain with few codes.  A code exists only if some caller acts
 * on it; the message has the details.  The function that fails sets the error once; each of its
 * callers may add details in front of the message with g_prefix_error().
 *
 * The data path (volume_read() and its like, every operation of a backing) returns 0 or a negative
 * errno value instead, and allocates no memory.
 */
#pragma once

#include <glib.h>

#define STORAGEOS_ERROR (storageos_error_quark())

typedef enum {
	STORAGEOS_ERROR_IO,	     /* a system call failed */
	STORAGEOS_ERROR_NO_SPACE,    /* no space in the backing, or no memory */
	STORAGEOS_ERROR_CORRUPT,     /* data read differs from data written */
	STORAGEOS_ERROR_NOT_FOUND,   /* no such volume, pool, device or file */
	STORAGEOS_ERROR_EXISTS,	     /* it already exists */
	STORAGEOS_ERROR_INVALID,     /* invalid input */
	STORAGEOS_ERROR_UNSUPPORTED, /* not supported by this kernel, runner or format version */
	STORAGEOS_ERROR_BUSY,	     /* in use; the message says by whom, if known */
	STORAGEOS_ERROR_AWAITED, /* whether it is in use will be known soon: try again, with time */
} StorageosError;

GQuark storageos_error_quark(void);

/* Sets *error (`error` may be NULL).  Returns FALSE, so that a caller can return the result. */
gboolean error_set(GError **error, StorageosError code, const char *format, ...)
	G_GNUC_PRINTF(3, 4);

/* The same from an errno value, positive or negative: chooses the code, and appends ": " and the
 * value's description to the message. */
gboolean error_set_errno(GError **error, int err, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* The errno value closest to an error of any domain, positive; EIO if none fits. */
int error_to_errno(const GError *error);
