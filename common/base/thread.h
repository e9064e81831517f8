/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one way to start a thread, and how many can run at once.
 *
 * A thread starts with every signal blocked, whatever the caller's mask: the process's signals
 * are for the host's own threads (in the plugin, tcmu-runner's), whose handlers may end a thread.
 */
#pragma once

#include <glib.h>

/* `name` has at most 15 bytes.  NULL with *error (STORAGEOS_ERROR_IO) where the system has no room
 * for another thread.  Join the result. */
GThread *thread_start(const char *name, GThreadFunc run, gpointer data, GError **error);

/* The same for a thread that nobody joins.  Without `error`, allocates nothing with which GLib
 * would abort. */
gboolean thread_start_detached(const char *name, GThreadFunc run, gpointer data, GError **error);

/* The calling thread's work can wait: from now on, any thread that wakes goes before it at once,
 * and it goes on when that sleeps.  It gets its share of the processors as before.  Linux 6.12 on;
 * elsewhere, and where the process has another scheduling policy, it does nothing. */
void thread_give_way(void);

/* How many processors the calling thread may use, at least 1: those of its affinity, not all that
 * are online. */
guint thread_processors(void);
