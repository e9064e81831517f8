/* SPDX-License-Identifier: Apache-2.0 */
#include "common/stream/stream-io.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/engine/crc32c.h"

/* Sleeps until the descriptor is ready, as it may be non-blocking. */
static gboolean call_again(int fd, short events)
{
	struct pollfd ready = {.fd = fd, .events = events};

	if (errno == EAGAIN)
		return poll(&ready, 1, -1) >= 0 || errno == EINTR;
	return errno == EINTR;
}

gssize stream_read(int fd, void *buffer, gsize length, GError **error)
{
	gsize done = 0;

	while (done < length) {
		gssize n = read(fd, (guint8 *)buffer + done, length - done);

		if (!n)
			break;
		if (n < 0 && !call_again(fd, POLLIN)) {
			error_set_errno(error, errno, "read the stream");
			return -1;
		}
		done += n > 0 ? (gsize)n : 0;
	}
	return (gssize)done;
}

gboolean stream_write(int fd, struct iovec *iov, guint n, GError **error)
{
	while (n) {
		gssize written = writev(fd, iov, (int)MIN(n, IOV_MAX));

		if (written < 0 && !call_again(fd, POLLOUT))
			return error_set_errno(error, errno, "write the stream");
		for (; n && written >= (gssize)iov->iov_len; iov++, n--)
			written -= (gssize)iov->iov_len;
		if (n && written > 0) {
			iov->iov_base = (guint8 *)iov->iov_base + written;
			iov->iov_len -= (gsize)written;
		}
	}
	return TRUE;
}

guint32 stream_checksum(const void *bytes, gsize length)
{
	return crc32c(0, bytes, length);
}
