/* SPDX-License-Identifier: Apache-2.0 */
#include "fuse-fallback/attendance.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/autofd.h"
#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/logging.h"
#include "common/base/thread.h"

#define PAUSE (G_USEC_PER_SEC / 10)

struct Attendance {
	char *lock_file;
	const gint *users;
	GThread *thread;
	GMutex lock;
	GCond stopped;
	gboolean stop;
};

typedef enum { NOT_YET, CAME, NOBODY } AttendanceAnswer;

/* While we hold the lock nobody attaches or detaches, so `users` is final.  Whoever releases the
 * lock may remove its file, and the next process creates another; holding the lock of a removed
 * file proves nothing. */
static AttendanceAnswer attendance_look(const Attendance *attendance)
{
	struct stat st;
	autofd fd = fd_open(attendance->lock_file, O_RDONLY | O_NOFOLLOW, 0);

	if (fd < 0 ? errno != ENOENT : flock(fd, LOCK_SH | LOCK_NB) != 0)
		return NOT_YET;
	if (fd >= 0 && (fstat(fd, &st) || !st.st_nlink))
		return NOT_YET;
	return g_atomic_int_get(attendance->users) ? CAME : NOBODY;
}

/* Sleeps.  FALSE if the watch must end. */
static gboolean attendance_pause(Attendance *attendance)
{
	gint64 until = g_get_monotonic_time() + PAUSE;
	gboolean stop;

	g_mutex_lock(&attendance->lock);
	while (!attendance->stop &&
	       g_cond_wait_until(&attendance->stopped, &attendance->lock, until))
		;
	stop = attendance->stop;
	g_mutex_unlock(&attendance->lock);
	return !stop;
}

static gpointer attendance_run(gpointer data)
{
	Attendance *attendance = data;
	AttendanceAnswer answer = NOT_YET;

	while (answer == NOT_YET && attendance_pause(attendance))
		answer = attendance_look(attendance);
	if (answer == NOBODY) {
		log_warning(
			"the process that attached the volume is gone and nobody uses it; closing");
		kill(getpid(), SIGTERM);
	}
	return NULL;
}

Attendance *attendance_watch(const char *lock_file, const gint *users, GError **error)
{
	Attendance *attendance = g_new0(Attendance, 1);

	attendance->lock_file = g_strdup(lock_file);
	attendance->users = users;
	g_mutex_init(&attendance->lock);
	g_cond_init(&attendance->stopped);
	attendance->thread = thread_start("storageos-watch", attendance_run, attendance, error);
	if (attendance->thread)
		return attendance;
	attendance_free(attendance);
	return NULL;
}

void attendance_free(Attendance *attendance)
{
	if (!attendance)
		return;
	g_mutex_lock(&attendance->lock);
	attendance->stop = TRUE;
	g_cond_signal(&attendance->stopped);
	g_mutex_unlock(&attendance->lock);
	if (attendance->thread)
		g_thread_join(attendance->thread);
	g_cond_clear(&attendance->stopped);
	g_mutex_clear(&attendance->lock);
	g_free(attendance->lock_file);
	g_free(attendance);
}
