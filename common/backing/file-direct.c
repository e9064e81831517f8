/* SPDX-License-Identifier: Apache-2.0 */
#include "common/backing/file-direct.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/autofd.h"
#include "common/base/error.h"
#include "common/base/fd.h"

int file_direct_open(const char *path, int fd, GError **error)
{
	int mode = fcntl(fd, F_GETFL) & O_ACCMODE;
	autofd direct = fd_open(path, O_NOCTTY | O_NONBLOCK | O_DIRECT | mode, 0);
	struct stat st, there;

	if (direct < 0 || fstat(fd, &st) < 0 || fstat(direct, &there) < 0) {
		error_set_errno(error, errno, "open %s for direct access", path);
		return -1;
	}
	if (st.st_rdev != there.st_rdev) {
		error_set(error, STORAGEOS_ERROR_BUSY, "%s was replaced at this moment", path);
		return -1;
	}
	return autofd_steal(&direct);
}

int file_direct_read(int direct, void *data, gsize length, guint64 offset)
{
	ssize_t done;

	do
		done = pread(direct, data, length, (off_t)offset);
	while (done < 0 && errno == EINTR);
	return done == (ssize_t)length ? 0 : -EIO;
}

int file_direct_write(int direct, const void *data, gsize length, guint64 offset)
{
	ssize_t done;

	do
		done = pwrite(direct, data, length, (off_t)offset);
	while (done < 0 && errno == EINTR);
	return done == (ssize_t)length ? 0 : -EIO;
}
