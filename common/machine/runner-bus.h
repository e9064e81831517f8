/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcmu-runner as D-Bus shows it: whether it runs, and whether it has loaded our plugin.
 *
 * The query takes no longer than the caller has patience, whatever the bus or the runner does (the
 * runner answers from its main thread, which another handler's open may block).  Never starts the
 * runner: messages carry the flag that forbids activation.
 */
#pragma once

#include <glib.h>

#define RUNNER_SUBTYPE "storageos"

typedef struct {
	gboolean bus;	  /* the system bus accepted our connection */
	gboolean running; /* the runner's name on the bus has an owner; if not, and there is a
			   * problem: not known */
	guint32 pid;	  /* of the runner; 0: not known */
	gboolean answers; /* the runner answered within the time */
	gboolean subtype; /* it lists our subtype: the plugin is loaded */
	char *problem;	  /* the first error, or NULL; free with _clear */
} RunnerBusStatus;

typedef struct {
	guint seconds;
	/* Called in the caller's thread some times a second, with the seconds that have passed;
	 * FALSE ends the query.  NULL: none. */
	gboolean (*wait)(guint passed, gpointer data);
	gpointer data;
} RunnerPatience;

void runner_bus_status_query(RunnerPatience patience, RunnerBusStatus *ret_status);
void runner_bus_status_clear(RunnerBusStatus *status);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(RunnerBusStatus, runner_bus_status_clear)
