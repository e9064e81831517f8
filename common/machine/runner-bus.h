/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcmu-runner as D-Bus shows it: whether it runs, and what it can serve.
 *
 * Every call is bounded by `seconds`, whatever the bus or the runner does (its one main thread
 * may be held up by another handler's open).  Nothing here starts the runner: a message that
 * would start it through D-Bus is marked not to.
 */
#pragma once

#include <glib.h>

#define RUNNER_SUBTYPE "storageos"

typedef struct {
	gboolean bus;	  /* there is a system bus */
	gboolean running; /* the runner's name on it has an owner */
	guint32 pid;	  /* of it; 0: not known */
	gboolean answers;
	gboolean subtype; /* it lists ours: the plugin is loaded */
	char *problem;	  /* the first thing that went wrong, or NULL; free with _clear */
} RunnerBusStatus;

void runner_bus_status_query(guint seconds, RunnerBusStatus *ret_status);
void runner_bus_status_clear(RunnerBusStatus *status);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(RunnerBusStatus, runner_bus_status_clear)
