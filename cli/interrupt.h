/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SIGINT, SIGTERM and SIGHUP while something is being made: held back, so that it is undone or
 * completed, and the program ends by the signal afterwards.
 *
 * Threading: for the main thread, before there are others.
 */
#pragma once

#include <glib.h>

/* Programs that are started meanwhile do not inherit it. */
void interrupt_hold(void);

/* What came meanwhile ends the program here: the last thing of main(). */
void interrupt_release(void);

/* FALSE where one has come: for between two steps. */
gboolean interrupt_check(GError **error);

/* In a child, before it becomes another program. */
void interrupt_child(void);
