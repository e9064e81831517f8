/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Other processes: found and examined through /proc, started, bounded in time.
 */
#pragma once

#include <glib.h>
#include <sys/types.h>

/* The start time of a process, in clock ticks since boot; 0 if there is no such process or it is a
 * zombie. */
gint64 process_start_time(pid_t pid);

/* Whether the process that started at this time still runs; its PID may have been used again. */
gboolean process_is_alive(pid_t pid, gint64 start_time);

/* The PID of its parent; 0 if there is no such process. */
pid_t process_parent(pid_t pid);

/* A description for messages: "process 12 (mount)".  Free the result. */
char *process_describe(pid_t pid);

/* Whether the process is ending: it can no longer be recognized, as its memory is gone, but its
 * files may still be open and locked. */
gboolean process_is_ending(pid_t pid);

/* Whether the process runs this program for root or for our own user, with `argument` among its
 * arguments.  The name of the executable counts; a process can change its own name. */
gboolean process_is(pid_t pid, const char *program, const char *argument);

/* The first such process; 0 if there is none. */
pid_t process_find(const char *program, const char *argument);

/* Whether the process or its parent is udev. */
gboolean process_is_of_udev(pid_t pid);

/* Sends a signal to a process if it is still the one that started at this time. */
void process_signal(pid_t pid, gint64 start_time, int number);

/* Waits until the process has ended; FALSE if it still runs after `seconds`. */
gboolean process_wait_end(pid_t pid, gint64 start_time, guint seconds);

/* Runs a program and waits for its end.  After `seconds` the program and its children are killed.
 * FALSE if the program failed or was killed; the error contains the last line that it printed. */
gboolean process_run(const char *const argv[], guint seconds, GError **error);

/* The same for a program whose standard output is data: *ret_text, to be freed, followed by a zero
 * byte, of at most `max` bytes.  *ret_status is the exit status, whatever that is; FALSE only if
 * the program could not be run to its end, or wrote more.  What it says on standard error is in
 * *ret_complaint (its last line; to be freed). */
typedef struct {
	char *text, *complaint;
	int status;
} ProcessResult;
gboolean process_read(const char *const argv[], guint seconds, gsize max, ProcessResult *ret_result,
		      GError **error);
void process_result_clear(ProcessResult *result);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ProcessResult, process_result_clear)

/* A program that runs beside this one, and is killed with it; `environment` NULL: with ours.  NULL
 * if it cannot be started. */
typedef struct ProcessChild ProcessChild;
ProcessChild *process_child_start(const char *const argv[], char *const environment[],
				  GError **error);

/* Waits for its end, `seconds` at most (0: only looks).  *ret_ended says whether it has ended.
 * FALSE: it has failed; the error contains the last line that it printed. */
gboolean process_child_wait(ProcessChild *child, guint seconds, gboolean *ret_ended,
			    GError **error);

/* Kills it; may be called by another thread, and again. */
void process_child_kill(ProcessChild *child);

/* Kills it, if it still runs.  NULL is allowed. */
void process_child_free(ProcessChild *child);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProcessChild, process_child_free)

/* Starts a program as a daemon: in a session of its own, with no descriptor of ours. */
gboolean process_start_daemon(const char *const argv[], GError **error);

/* Calls `function` in a child process, for system calls that may never return.  Returns the result
 * of `function` (0 or an errno value), or ETIMEDOUT.  `function` may only make system calls and use
 * the stack; none of our descriptors is open in it. */
int process_call(int (*function)(gconstpointer data), gconstpointer data, guint seconds);
