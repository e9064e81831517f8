/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/error.h"

#include <errno.h>

#include "tests/harness.h"

static const struct {
	int err;
	int code;
	int back; /* the errno for the code */
} errnos[] = {
	{ENOSPC, STORAGEOS_ERROR_NO_SPACE, ENOSPC},
	{EDQUOT, STORAGEOS_ERROR_NO_SPACE, ENOSPC},
	{ENOMEM, STORAGEOS_ERROR_NO_SPACE, ENOSPC},
	{EBADMSG, STORAGEOS_ERROR_CORRUPT, EUCLEAN},
	{ENOENT, STORAGEOS_ERROR_NOT_FOUND, ENOENT},
	{EEXIST, STORAGEOS_ERROR_EXISTS, EEXIST},
	{EINVAL, STORAGEOS_ERROR_INVALID, EINVAL},
	{EOPNOTSUPP, STORAGEOS_ERROR_UNSUPPORTED, EOPNOTSUPP},
	{EBUSY, STORAGEOS_ERROR_BUSY, EBUSY},
	{EIO, STORAGEOS_ERROR_IO, EIO},
	{EACCES, STORAGEOS_ERROR_IO, EIO},
};

static void test_set(const void *data)
{
	g_autoptr(GError) error = NULL;

	(void)data;
	CHECK(!error_set(&error, STORAGEOS_ERROR_BUSY, "%s is in use by %d", "x", 7));
	CHECK_ERROR(error, STORAGEOS_ERROR_BUSY, "x is in use by 7");
}

static void test_set_nowhere(const void *data)
{
	(void)data;
	CHECK(!error_set(NULL, STORAGEOS_ERROR_BUSY, "nobody asks"));
	CHECK(!error_set_errno(NULL, EIO, "nobody asks"));
}

static void test_errno(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(errnos); i++)
		for (int sign = -1; sign <= 1; sign += 2) {
			g_autoptr(GError) error = NULL;

			test_row("errno %d", sign * errnos[i].err);
			CHECK(!error_set_errno(&error, sign * errnos[i].err, "open %s", "x"));
			CHECK_ERROR(error, errnos[i].code, "open x: ");
			CHECK_CONTAINS(error->message, g_strerror(errnos[i].err));
			CHECK_INT(error_to_errno(error), errnos[i].back);
		}
}

static void test_foreign(const void *data)
{
	g_autoptr(GError) error = g_error_new(G_FILE_ERROR, G_FILE_ERROR_NOENT, "foreign");

	(void)data;
	CHECK_INT(error_to_errno(error), EIO);
	CHECK_INT(error_to_errno(NULL), EIO);
}

int main(int argc, char **argv)
{
	test_add("an error carries its code and message", test_set, NULL);
	test_add("an error without a place to return it", test_set_nowhere, NULL);
	test_add("errno values to codes and back", test_errno, NULL);
	test_add("errors of other domains", test_foreign, NULL);
	return test_run(argc, argv);
}
