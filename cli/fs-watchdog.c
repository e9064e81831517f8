/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/fs-watchdog.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/base/fd.h"

#define BTRFS_DEVICES_TRIED 64u

typedef struct {
	const FsWatchdogOrder *order;
	int socket;		  /* to the parent */
	int freezer;		  /* what the freezer has done: an int, 0 or errno, for each */
	int fds[FS_WATCHDOG_MAX]; /* of the mount points */
	guint n_frozen;
	gint64 deadline;
} Watchdog;

/* ---- which file system it is */

/* The device of a btrfs, which shows a number of its own; 0 if it has several. */
static dev_t btrfs_device(int fd)
{
	struct btrfs_ioctl_fs_info_args info = {0};
	struct stat st;

	if (ioctl(fd, BTRFS_IOC_FS_INFO, &info) || info.num_devices != 1)
		return 0;
	for (guint64 id = info.max_id; id && info.max_id - id < BTRFS_DEVICES_TRIED; id--) {
		struct btrfs_ioctl_dev_info_args device = {.devid = id};

		if (!ioctl(fd, BTRFS_IOC_DEV_INFO, &device))
			return stat((const char *)device.path, &st) ? 0 : st.st_rdev;
	}
	return 0;
}

/* The device that the file system of this descriptor is on; 0 if that is not known. */
static dev_t device_of(int fd)
{
	struct statfs fs;
	struct stat st;

	if (fstatfs(fd, &fs) || fstat(fd, &st))
		return 0;
	return fs.f_type == BTRFS_SUPER_MAGIC ? btrfs_device(fd) : st.st_dev;
}

static dev_t device_of_path(const char *path)
{
	int fd = fd_open(path, O_RDONLY | O_NONBLOCK, 0);
	dev_t device = fd < 0 ? 0 : device_of(fd);

	if (fd >= 0)
		close(fd);
	return device;
}

/* ---- freezing, in a process of its own */

/* Goes on after the time is up only as long as the watchdog takes the reports and thaws. */
static void G_GNUC_NORETURN freezer_main(const Watchdog *watchdog, int reports)
{
	for (guint i = 0; i < watchdog->order->n; i++) {
		int err = 0;

		if (g_get_monotonic_time() > watchdog->deadline)
			err = ETIMEDOUT;
		else if (ioctl(watchdog->fds[i], FIFREEZE, 0))
			err = errno;
		if (write(reports, &err, sizeof err) != sizeof err) {
			for (guint j = 0; j <= i; j++)
				ioctl(watchdog->fds[j], FITHAW, 0);
			_exit(1);
		}
		if (err)
			_exit(1);
	}
	_exit(0);
}

static int freezer_start(Watchdog *watchdog)
{
	int ends[2];
	pid_t pid;

	if (fd_pipe(ends))
		return errno;
	pid = fork();
	if (!pid) {
		close(watchdog->socket); /* its end tells the parent of the watchdog's */
		close(ends[0]);
		freezer_main(watchdog, ends[1]);
	}
	close(ends[1]);
	watchdog->freezer = ends[0];
	return pid < 0 ? errno : 0;
}

/* ---- the watchdog */

static void G_GNUC_NORETURN watchdog_fail(const Watchdog *watchdog, FsWatchdogReport report)
{
	send(watchdog->socket, &report, sizeof report, MSG_NOSIGNAL);
	_exit(1);
}

static void watchdog_open(Watchdog *watchdog, guint i)
{
	const FsWatchdogOrder *order = watchdog->order;
	const FsWatched *watched = &order->watched[i];
	FsWatchdogReport report = {FS_WATCHDOG_REFUSED, i, 0, 0};

	watchdog->fds[i] = fd_open(watched->directory, O_RDONLY | O_DIRECTORY, 0);
	if (watchdog->fds[i] < 0) {
		report.error = errno;
		watchdog_fail(watchdog, report);
	}
	report.state = FS_WATCHDOG_MOVED;
	if (device_of(watchdog->fds[i]) != watched->device)
		watchdog_fail(watchdog, report);
	report.state = FS_WATCHDOG_PROTECTED;
	for (; order->protected[report.protected]; report.protected ++)
		if (device_of_path(order->protected[report.protected]) == watched->device)
			watchdog_fail(watchdog, report);
}

/* Waits until the time is up for one of both to have something to read.  Which has: -1: neither. */
static int watchdog_wait(const Watchdog *watchdog, int first, int second)
{
	struct pollfd fds[] = {{.fd = first, .events = POLLIN}, {.fd = second, .events = POLLIN}};
	gint64 left;
	int n;

	do {
		left = watchdog->deadline - g_get_monotonic_time();
		n = poll(fds, G_N_ELEMENTS(fds), left > 0 ? (int)(left / 1000) + 1 : 0);
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		return -1;
	return fds[0].revents ? first : second;
}

/* 0, or an errno value: of the file system n_frozen. */
static int freezer_take(Watchdog *watchdog)
{
	int err;

	if (read(watchdog->freezer, &err, sizeof err) != sizeof err)
		return EIO;
	if (!err)
		watchdog->n_frozen++;
	return err;
}

/* In the order of freezing: one that is not frozen whole yet may wait for another. */
static void watchdog_thaw(Watchdog *watchdog)
{
	guint n_thawed = 0;

	do
		for (; n_thawed < watchdog->n_frozen; n_thawed++)
			ioctl(watchdog->fds[n_thawed], FITHAW, 0);
	while (watchdog->n_frozen < watchdog->order->n && !freezer_take(watchdog));
}

/* Returns when all are frozen.  Stops early when the parent has gone. */
static void watchdog_freeze(Watchdog *watchdog)
{
	FsWatchdogReport report = {FS_WATCHDOG_REFUSED, 0, 0, 0};

	for (guint i = 0; i < watchdog->order->n; i++)
		syncfs(watchdog->fds[i]); /* while nobody waits for it */
	watchdog->deadline = 0;
	if (watchdog_wait(watchdog, watchdog->socket, -1) >= 0)
		_exit(1); /* the parent has gone meanwhile */
	watchdog->deadline = g_get_monotonic_time() + FS_WATCHDOG_SECONDS * G_USEC_PER_SEC;
	report.error = freezer_start(watchdog);
	if (report.error)
		watchdog_fail(watchdog, report);
	while (watchdog->n_frozen < watchdog->order->n && !report.error) {
		int from = watchdog_wait(watchdog, watchdog->freezer, watchdog->socket);

		report.error = from == watchdog->freezer ? freezer_take(watchdog) : ETIMEDOUT;
	}
	if (!report.error)
		return;
	report.index = watchdog->n_frozen;
	if (report.error == ETIMEDOUT)
		report.state = FS_WATCHDOG_LATE;
	watchdog_thaw(watchdog);
	watchdog_fail(watchdog, report);
}

void fs_watchdog_main(const FsWatchdogOrder *order, int socket)
{
	Watchdog watchdog = {.order = order, .socket = socket, .freezer = -1};
	FsWatchdogReport report = {FS_WATCHDOG_FROZEN, 0, 0, 0};
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	for (guint i = 0; i < order->n; i++)
		watchdog_open(&watchdog, i);
	watchdog_freeze(&watchdog);
	send(socket, &report, sizeof report, MSG_NOSIGNAL);
	report.state = watchdog_wait(&watchdog, socket, -1) == socket ? FS_WATCHDOG_THAWED
								      : FS_WATCHDOG_LATE;
	watchdog_thaw(&watchdog);
	send(socket, &report, sizeof report, MSG_NOSIGNAL);
	_exit(0);
}

int fs_watchdog_thaw(const FsWatchdogOrder *order)
{
	for (guint i = 0; i < order->n; i++) {
		int fd = fd_open(order->watched[i].directory, O_RDONLY | O_DIRECTORY, 0);

		if (fd >= 0 && device_of(fd) == order->watched[i].device)
			ioctl(fd, FITHAW, 0);
		if (fd >= 0)
			close(fd);
	}
	return 0;
}
