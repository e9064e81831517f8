/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/error.h"

#include <errno.h>

G_DEFINE_QUARK(storageos - error - quark, storageos_error)

gboolean error_set(GError **error, StorageosError code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (error)
		*error = g_error_new_valist(STORAGEOS_ERROR, code, format, args);
	va_end(args);
	return FALSE;
}

static StorageosError code_from_errno(int err)
{
	switch (err) {
	case ENOSPC:
	case EDQUOT:
	case ENOMEM:
		return STORAGEOS_ERROR_NO_SPACE;
	case EBADMSG:
	case EUCLEAN:
		return STORAGEOS_ERROR_CORRUPT;
	case ENOENT:
	case ENOTDIR:
	case ENXIO:
		return STORAGEOS_ERROR_NOT_FOUND;
	case EEXIST:
		return STORAGEOS_ERROR_EXISTS;
	case EINVAL:
	case ENAMETOOLONG:
		return STORAGEOS_ERROR_INVALID;
	case EOPNOTSUPP:
	case ENOSYS:
		return STORAGEOS_ERROR_UNSUPPORTED;
	case EBUSY:
	case EAGAIN:
		return STORAGEOS_ERROR_BUSY;
	default:
		return STORAGEOS_ERROR_IO;
	}
}

gboolean error_set_errno(GError **error, int err, const char *format, ...)
{
	g_autofree char *what = NULL;
	va_list args;

	err = ABS(err);
	va_start(args, format);
	what = g_strdup_vprintf(format, args);
	va_end(args);
	return error_set(error, code_from_errno(err), "%s: %s", what, g_strerror(err));
}

int error_to_errno(const GError *error)
{
	if (!error || error->domain != STORAGEOS_ERROR)
		return EIO;
	switch ((StorageosError)error->code) {
	case STORAGEOS_ERROR_IO:
		return EIO;
	case STORAGEOS_ERROR_NO_SPACE:
		return ENOSPC;
	case STORAGEOS_ERROR_CORRUPT:
		return EUCLEAN;
	case STORAGEOS_ERROR_NOT_FOUND:
		return ENOENT;
	case STORAGEOS_ERROR_EXISTS:
		return EEXIST;
	case STORAGEOS_ERROR_INVALID:
		return EINVAL;
	case STORAGEOS_ERROR_UNSUPPORTED:
		return EOPNOTSUPP;
	case STORAGEOS_ERROR_BUSY:
	case STORAGEOS_ERROR_AWAITED:
		return EBUSY;
	}
	return EIO;
}
