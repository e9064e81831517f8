/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Other processes, through /proc.
 */
#pragma once

#include <glib.h>
#include <sys/types.h>

/* When it started, in clock ticks since boot; 0 if there is none (or it has ended and waits for
 * its parent). */
gint64 process_start_time(pid_t pid);

/* Whether the process that started then still runs: another one may have its number by now. */
gboolean process_is_alive(pid_t pid, gint64 start_time);

/* 0 if there is none. */
pid_t process_parent(pid_t pid);

/* Its name, for messages: "process 12 (mount)".  Free the result. */
char *process_describe(pid_t pid);

/* Whether it is this program (its executable has that name), run by root or by our own user, with
 * `argument` among its arguments.  A name that a process gives itself proves nothing. */
gboolean process_is(pid_t pid, const char *program, const char *argument);

/* The first such process; 0 if there is none. */
pid_t process_find(const char *program, const char *argument);

/* Whether it is udev's, or a program that udev runs. */
gboolean process_is_of_udev(pid_t pid);

/* Sends it a signal, if it is still the one that started then. */
void process_signal(pid_t pid, gint64 start_time, int number);

/* FALSE if it still runs after so long. */
gboolean process_wait_end(pid_t pid, gint64 start_time, guint seconds);

/* Runs a program and waits.  Where it fails, or runs longer than `seconds` (it is killed then, with
 * its children), *error has the last line that it printed. */
gboolean process_run(const char *const argv[], guint seconds, GError **error);

/* Starts a daemon that does not become one by itself: a session of its own, nothing of ours open.
 */
gboolean process_start_daemon(const char *const argv[], GError **error);

/* Calls `function` in a child process, for calls that the kernel may never return from.  Returns
 * what it did (0 or an errno value), or ETIMEDOUT.  It may use system calls and stack only, and has
 * none of our descriptors. */
int process_call(int (*function)(gconstpointer data), gconstpointer data, guint seconds);
