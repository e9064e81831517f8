/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/bench/hbench.h"

static int plain_open(struct tcmu_device *dev, bool reopen)
{
	const char *path = strchr(dev->cfgstring, '/');
	int fd = path ? open(path + 1, O_RDWR | O_CLOEXEC) : -1;

	(void)reopen;
	if (fd < 0)
		return -errno;
	dev->private_data = GINT_TO_POINTER(fd);
	dev->write_cache = true;
	return 0;
}

static void plain_close(struct tcmu_device *dev)
{
	close(GPOINTER_TO_INT(dev->private_data));
}

static int plain_read(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov, size_t n,
		      size_t length, off_t offset)
{
	ssize_t done = preadv(GPOINTER_TO_INT(dev->private_data), iov, (int)n, offset);

	(void)cmd;
	return done == (ssize_t)length ? TCMU_STS_OK : STS_READ_ERROR;
}

static int plain_write(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov, size_t n,
		       size_t length, off_t offset)
{
	ssize_t done = pwritev(GPOINTER_TO_INT(dev->private_data), iov, (int)n, offset);

	(void)cmd;
	return done == (ssize_t)length ? TCMU_STS_OK : STS_WRITE_ERROR;
}

static int plain_flush(struct tcmu_device *dev, struct tcmur_cmd *cmd)
{
	(void)cmd;
	return fdatasync(GPOINTER_TO_INT(dev->private_data)) ? STS_WRITE_ERROR : TCMU_STS_OK;
}

/* ---- the same in the dispatch thread, answered before the callback returns */

static int answer(struct tcmu_device *dev, struct tcmur_cmd *cmd, int status)
{
	tcmur_cmd_complete(dev, cmd, status);
	return TCMU_STS_OK;
}

static int inline_read(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov, size_t n,
		       size_t length, off_t offset)
{
	return answer(dev, cmd, plain_read(dev, cmd, iov, n, length, offset));
}

static int inline_write(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov, size_t n,
			size_t length, off_t offset)
{
	return answer(dev, cmd, plain_write(dev, cmd, iov, n, length, offset));
}

static int inline_flush(struct tcmu_device *dev, struct tcmur_cmd *cmd)
{
	return answer(dev, cmd, plain_flush(dev, cmd));
}

void plain_register(void)
{
	static struct tcmur_handler raw = {
		.subtype = "raw",
		.open = plain_open,
		.close = plain_close,
		.read = inline_read,
		.write = inline_write,
		.flush = inline_flush,
	};
	static struct tcmur_handler threads = {
		.subtype = "raw-threads",
		.open = plain_open,
		.close = plain_close,
		.nr_threads = 2,
		.read = plain_read,
		.write = plain_write,
		.flush = plain_flush,
	};

	hbench_handlers = g_slist_prepend(hbench_handlers, &raw);
	hbench_handlers = g_slist_prepend(hbench_handlers, &threads);
}
