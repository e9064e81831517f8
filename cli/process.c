/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/interrupt.h"
#include "common/base/autofd.h"
#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/files.h"
#include "common/base/output.h"

#define PAUSE_US 20000
#define OUTPUT_KEPT 4096

static gint64 deadline_in(guint seconds)
{
	return g_get_monotonic_time() + seconds * G_USEC_PER_SEC;
}

/* ---- /proc */

static char *proc_file(pid_t pid, const char *name, gsize *ret_length)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/%s", (int)pid, name);

	return files_read_kernel(path, ret_length);
}

/* Whether the process has more than its first thread.  In a killed process the first thread may be
 * a zombie while others still wait for a disk. */
static gboolean has_threads(pid_t pid)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/task", (int)pid);
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);

	return dir && g_dir_read_name(dir) && g_dir_read_name(dir);
}

gint64 process_start_time(pid_t pid)
{
	g_autofree char *text = pid > 0 ? proc_file(pid, "stat", NULL) : NULL;
	char *rest = text ? strrchr(text, ')') : NULL;
	unsigned long long start;
	char state;

	/* Counted from the last ')', which ends the name: field 3 is the state, 22 the start time.
	 * */
	if (!rest || sscanf(rest + 1,
			    " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d"
			    " %*d %*d %llu",
			    &state, &start) != 2)
		return 0;
	return (state == 'Z' || state == 'X') && !has_threads(pid) ? 0 : (gint64)start;
}

gboolean process_is_alive(pid_t pid, gint64 start_time)
{
	return start_time && process_start_time(pid) == start_time;
}

pid_t process_parent(pid_t pid)
{
	g_autofree char *text = proc_file(pid, "stat", NULL);
	char *rest = text ? strrchr(text, ')') : NULL;
	int parent;

	return rest && sscanf(rest + 1, " %*c %d", &parent) == 1 ? (pid_t)parent : 0;
}

char *process_describe(pid_t pid)
{
	g_autofree char *name = proc_file(pid, "comm", NULL);

	return g_strdup_printf("process %d (%s)", (int)pid, name ? g_strchomp(name) : "ended");
}

/* Whether root or our own user runs the process.  Reads Uid in status: a process that made itself
 * undumpable shows another owner to stat(). */
static gboolean is_trusted(pid_t pid)
{
	g_autofree char *text = proc_file(pid, "status", NULL);
	const char *line = text ? strstr(text, "\nUid:") : NULL;
	guint real, effective;

	return line && sscanf(line, " Uid: %u %u", &real, &effective) == 2 && real == effective &&
	       (real == 0 || real == geteuid());
}

/* The kernel takes a process's memory, and with it the link to its executable, before its files. */
gboolean process_is_ending(pid_t pid)
{
	g_autofree char *link = g_strdup_printf("/proc/%d/exe", (int)pid);
	char target[1];

	return readlink(link, target, sizeof target) < 0 && errno == ENOENT;
}

/* Whether the executable has this name; it may have been replaced since. */
static gboolean has_program(pid_t pid, const char *program)
{
	static const char replaced[] = " (deleted)";
	g_autofree char *link = g_strdup_printf("/proc/%d/exe", (int)pid);
	g_autofree char *path = g_file_read_link(link, NULL);
	g_autofree char *name = path ? g_path_get_basename(path) : NULL;

	if (name && g_str_has_suffix(name, replaced))
		name[strlen(name) - strlen(replaced)] = '\0';
	return !g_strcmp0(name, program);
}

static gboolean has_argument(pid_t pid, const char *argument)
{
	gsize length = 0;
	g_autofree char *text = proc_file(pid, "cmdline", &length);

	for (gsize at = 0; text && at < length; at += strlen(text + at) + 1)
		if (!strcmp(text + at, argument))
			return TRUE;
	return FALSE;
}

/* Reads the arguments last: they lie in the process's memory, and a process that is not trusted
 * could delay the read. */
gboolean process_is(pid_t pid, const char *program, const char *argument)
{
	return is_trusted(pid) && has_program(pid, program) && has_argument(pid, argument) &&
	       process_start_time(pid);
}

pid_t process_find(const char *program, const char *argument)
{
	g_autoptr(GDir) dir = g_dir_open("/proc", 0, NULL);
	const char *entry;

	while (dir && (entry = g_dir_read_name(dir))) {
		pid_t pid = (pid_t)atoi(entry);

		if (pid > 0 && process_is(pid, program, argument))
			return pid;
	}
	return 0;
}

static gboolean is_udev(pid_t pid)
{
	static const char *const names[] = {"systemd-udevd", "(udev-worker)", "udevd"};
	g_autofree char *name = proc_file(pid, "comm", NULL);

	for (guint i = 0; name && i < G_N_ELEMENTS(names); i++)
		if (!strcmp(g_strchomp(name), names[i]))
			return is_trusted(pid);
	return FALSE;
}

gboolean process_is_of_udev(pid_t pid)
{
	pid_t parent = process_parent(pid);

	return is_udev(pid) || (parent > 0 && is_udev(parent));
}

/* A pidfd (since Linux 5.3).  Without one, another process may get the PID between the check and
 * the signal. */
static int process_open(pid_t pid)
{
#ifdef SYS_pidfd_open
	return (int)syscall(SYS_pidfd_open, pid, 0);
#else
	(void)pid;
	errno = ENOSYS;
	return -1;
#endif
}

static void process_send(int fd, pid_t pid, int number)
{
#ifdef SYS_pidfd_send_signal
	if (fd >= 0) {
		syscall(SYS_pidfd_send_signal, fd, number, NULL, 0);
		return;
	}
#endif
	(void)fd;
	kill(pid, number);
}

void process_signal(pid_t pid, gint64 start_time, int number)
{
	autofd fd = fd_above_stdio(process_open(pid));

	if ((fd >= 0 || errno != ESRCH) && process_is_alive(pid, start_time))
		process_send(fd, pid, number);
}

gboolean process_wait_end(pid_t pid, gint64 start_time, guint seconds)
{
	gint64 end = deadline_in(seconds);

	while (process_is_alive(pid, start_time)) {
		if (g_get_monotonic_time() > end)
			return FALSE;
		g_usleep(PAUSE_US);
	}
	return TRUE;
}

/* ---- programs */

/* In the child, between fork and exec.  The program is killed when we die: the next command must
 * not find it still at work. */
static void child_enter_group(gpointer data)
{
	(void)data;
	output_child();
	interrupt_child();
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(STDOUT_FILENO, STDERR_FILENO);
}

/* The last OUTPUT_KEPT bytes that a program printed. */
typedef struct {
	int fd;
	char text[OUTPUT_KEPT + 1];
	gsize length;
} Output;

/* Reads what is in the pipe; FALSE at its end. */
static gboolean output_take(Output *output)
{
	char buffer[1024];
	ssize_t n = read(output->fd, buffer, sizeof buffer);
	gsize size, drop;

	if (n <= 0)
		return n < 0 && (errno == EINTR || errno == EAGAIN);
	size = (gsize)n;
	drop = output->length + size > OUTPUT_KEPT ? output->length + size - OUTPUT_KEPT : 0;
	memmove(output->text, output->text + drop, output->length - drop);
	memcpy(output->text + output->length - drop, buffer, size);
	output->length += size - drop;
	return TRUE;
}

static const char *output_last_line(Output *output)
{
	char *newline;

	char *start = output->text;

	output->text[output->length] = '\0';
	g_strchomp(output->text);
	newline = strrchr(output->text, '\n');
	if (newline)
		return newline + 1;
	while (((guint8)*start & 0xc0) == 0x80) /* the rest of a character that was cut */
		start++;
	return start;
}

/* Takes the child's output until the child has ended (TRUE) or the deadline has passed (FALSE).
 *
 * Each round lasts at most PAUSE_US, so that both are noticed within that time.  The child cannot
 * block on a full pipe, because the pipe is read in every round.  The end of the output says
 * nothing about the child, which may close its standard output and work on: only waitpid() ends
 * the loop.  Nor does the child's end close the pipe, as a daemon that it started may hold the
 * other end: what is left in the pipe is read without blocking, and at most 64 times. */
static gboolean child_watch(pid_t pid, Output *output, gint64 end, int *ret_status)
{
	gboolean open = TRUE;

	while (waitpid(pid, ret_status, WNOHANG) == 0) {
		struct pollfd poll_fd = {.fd = open ? output->fd : -1, .events = POLLIN};

		if (g_get_monotonic_time() > end)
			return FALSE;
		if (poll(&poll_fd, 1, PAUSE_US / 1000) > 0)
			open = output_take(output);
	}
	fcntl(output->fd, F_SETFL, O_NONBLOCK); /* a daemon that it left may hold the other end */
	for (guint i = 0; open && i < 64 && output_take(output) && errno != EAGAIN; i++)
		errno = 0;
	return TRUE;
}

/* The line without the program's own name in front of it ("storageos-fuse: "). */
static const char *line_without_name(const char *line, const char *name)
{
	gsize length = strlen(name);

	return g_str_has_prefix(line, name) && g_str_has_prefix(line + length, ": ")
		       ? line + length + 2
		       : line;
}

/* The message begins with the last line that the program printed, which usually is the reason. */
static gboolean child_judge(const char *program, int status, Output *output, GError **error)
{
	g_autofree char *name = g_path_get_basename(program);
	const char *line = line_without_name(output_last_line(output), name);

	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return TRUE;
	return error_set(error, STORAGEOS_ERROR_IO, "%s%s%s %s %d%s", line, *line ? " (" : "", name,
			 WIFEXITED(status) ? "exited with status" : "was killed by signal",
			 WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status),
			 *line ? ")" : "");
}

/* As child_enter_group(), but what the program writes to standard output goes to a file in memory.
 */
static void child_enter_group_and_file(gpointer data)
{
	child_enter_group(NULL);
	dup2(*(const int *)data, STDOUT_FILENO);
}

struct ProcessChild {
	char *program;
	GPid pid;
	gboolean ended, killed;
	int status;
	Output output;
};

static ProcessChild *child_start(const char *const argv[], char *const environment[],
				 const int *file, GError **error)
{
	g_autoptr(ProcessChild) child = g_new0(ProcessChild, 1);
	g_autoptr(GError) local = NULL;

	child->program = g_strdup(argv[0]);
	child->output.fd = -1;
	if (g_spawn_async_with_pipes(NULL, (char **)argv, (char **)environment,
				     G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD,
				     file ? child_enter_group_and_file : child_enter_group,
				     (gpointer)file, &child->pid, NULL, &child->output.fd, NULL,
				     &local))
		return g_steal_pointer(&child);
	error_set(error, STORAGEOS_ERROR_IO, "start %s: %s", argv[0], local->message);
	return NULL;
}

ProcessChild *process_child_start(const char *const argv[], char *const environment[],
				  GError **error)
{
	return child_start(argv, environment, NULL, error);
}

gboolean process_child_wait(ProcessChild *child, guint seconds, gboolean *ret_ended, GError **error)
{
	if (!child->ended)
		child->ended = child_watch(child->pid, &child->output, deadline_in(seconds),
					   &child->status);
	*ret_ended = child->ended;
	return !child->ended || child_judge(child->program, child->status, &child->output, error);
}

void process_child_kill(ProcessChild *child)
{
	kill(-child->pid, SIGKILL);
}

void process_child_free(ProcessChild *child)
{
	if (!child)
		return;
	if (child->pid && !child->ended) {
		process_child_kill(child);
		waitpid(child->pid, NULL, WNOHANG); /* one that waits for a disk may never end */
	}
	if (child->output.fd >= 0)
		close(child->output.fd);
	g_free(child->program);
	g_free(child);
}

/* Waits for the end; kills the program after `seconds`. */
static gboolean child_complete(ProcessChild *child, guint seconds, GError **error)
{
	gint64 end = deadline_in(seconds);

	child->ended = child_watch(child->pid, &child->output, end, &child->status);
	if (child->ended)
		return TRUE;
	process_child_kill(child);
	return error_set(error, STORAGEOS_ERROR_IO, "%s did not end within %u s%s%s",
			 child->program, seconds, child->output.length ? ": " : "",
			 output_last_line(&child->output));
}

gboolean process_run(const char *const argv[], guint seconds, GError **error)
{
	g_autoptr(ProcessChild) child = child_start(argv, NULL, NULL, error);

	return child && child_complete(child, seconds, error) &&
	       child_judge(child->program, child->status, &child->output, error);
}

void process_result_clear(ProcessResult *result)
{
	g_clear_pointer(&result->text, g_free);
	g_clear_pointer(&result->complaint, g_free);
}

gboolean process_read(const char *const argv[], guint seconds, gsize max, ProcessResult *ret_result,
		      GError **error)
{
	autofd file = fd_above_stdio(memfd_create("output", MFD_CLOEXEC));
	g_autoptr(ProcessChild) child = file >= 0 ? child_start(argv, NULL, &file, error) : NULL;
	ProcessResult result = {0};
	gsize length;
	int err;

	if (file < 0)
		return error_set_errno(error, errno, "start %s", argv[0]);
	if (!child || !child_complete(child, seconds, error))
		return FALSE;
	if (!WIFEXITED(child->status))
		return child_judge(child->program, child->status, &child->output, error);
	err = lseek(file, 0, SEEK_SET) ? errno
				       : files_read_to_end(file, max, &result.text, &length);
	if (err)
		return error_set_errno(error, err, "read the output of %s", argv[0]);
	result.status = WEXITSTATUS(child->status);
	result.complaint =
		g_strdup(line_without_name(output_last_line(&child->output), child->program));
	*ret_result = result;
	return TRUE;
}

static void daemon_enter_session(gpointer data)
{
	(void)data;
	output_child();
	interrupt_child();
	setsid();
	umask(022);
	if (chdir("/"))
		_exit(127);
}

gboolean process_start_daemon(const char *const argv[], GError **error)
{
	g_autoptr(GError) local = NULL;

	if (g_spawn_async("/", (char **)argv, NULL,
			  G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL |
				  G_SPAWN_STDERR_TO_DEV_NULL,
			  daemon_enter_session, NULL, NULL, &local))
		return TRUE;
	return error_set(error, STORAGEOS_ERROR_IO, "start %s: %s", argv[0], local->message);
}

int process_call(int (*function)(gconstpointer data), gconstpointer data, guint seconds)
{
	gint64 end = deadline_in(seconds);
	pid_t pid = fork();
	int status;

	if (pid < 0)
		return errno;
	if (!pid) {
		fd_close_from(0); /* a child that hangs must hold no lock and no pipe */
		fd_fill_stdio();
		_exit(function(data));
	}
	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (g_get_monotonic_time() > end) {
			kill(pid, SIGKILL);
			return ETIMEDOUT;
		}
		g_usleep(PAUSE_US / 10);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
}
