/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holds back SIGINT, SIGTERM and SIGHUP during a sequence of steps, so that the sequence is
 * completed or undone.  The program ends by the signal afterwards.
 *
 * Threading: only the main thread may call these functions, before other threads exist.
 */
#pragma once

#include <glib.h>

/* Blocks the signals.  Programs that are started meanwhile do not inherit the blocking. */
void interrupt_hold(void);

/* Unblocks the signals: one that arrived meanwhile ends the program here.  Must be the last call in
 * main(). */
void interrupt_release(void);

/* FALSE with BUSY if a signal has arrived.  To be called between two steps. */
gboolean interrupt_check(GError **error);

/* Unblocks the signals in a child, before exec(). */
void interrupt_child(void);
