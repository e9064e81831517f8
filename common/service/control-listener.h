/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The name of a control socket, for the server's half of control.h: taken, lost, taken again.
 *
 * A volume's name may come to mean another one while somebody still serves what had it: the file
 * was deleted, moved, or another pool is mounted there.  The newest server of a name has it, since
 * it serves what the name means now; who had it before goes on without.  Whoever has none looks
 * again and again, and takes it where nobody answers: when that server has ended, when somebody has
 * removed the socket or its directory, when there is room again for it.
 *
 * Threading: one at a time.
 */
#pragma once

#include <sys/types.h>

#include "common/service/config.h"

typedef struct {
	char *run_directory, *name;
	int directory;
	int fd; /* listens; -1: it has no name */
	dev_t dev;
	ino_t ino;	   /* of the socket's name */
	gint64 due, pause; /* when to look, monotonic microseconds; until the next look */
} ControlListener;

void control_listener_init(ControlListener *listener, const Config *config, const char *name);

/* Removes the socket, if its name is still ours. */
void control_listener_clear(ControlListener *listener);

/* Takes the name, from whoever has it.  Where that fails it is for control_listener_look() to do.
 */
gboolean control_listener_take(ControlListener *listener, GError **error);

/* Looks whether the name is still ours, and tries to take it where it is nobody's, if that is due;
 * milliseconds until it is. */
int control_listener_look(ControlListener *listener);
