/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The name of a control socket, for the server's half of control.h: taken, lost, taken again.
 *
 * A volume's name may come to mean another volume while the old one is still served: its file was
 * deleted or moved, or another pool was mounted.  The newest server of a name gets it, since it
 * serves what the name means now; the former owner goes on without a name.  A server without a name
 * looks again and again, and takes the name when nobody answers there: when the other server has
 * ended, when somebody has removed the socket or its directory, or when there is space for it
 * again.
 *
 * Threading: one thread at a time.
 */
#pragma once

#include <sys/types.h>

#include "common/service/config.h"

typedef struct {
	char *run_directory, *name;
	int directory;
	int fd; /* listens; -1 without a name */
	dev_t dev;
	ino_t ino;	   /* of the socket's file */
	gint64 due, pause; /* the next look, monotonic microseconds; the time between looks */
} ControlListener;

void control_listener_init(ControlListener *listener, const Config *config, const char *name);

/* Closes the socket, and removes its file if the name is still ours. */
void control_listener_clear(ControlListener *listener);

/* Takes the name, from its owner if it has one.  If that fails, control_listener_look() will try
 * again. */
gboolean control_listener_take(ControlListener *listener, GError **error);

/* If a look is due: checks that the name is still ours, and takes it if it is nobody's.  Returns
 * the milliseconds until the next look. */
int control_listener_look(ControlListener *listener);
