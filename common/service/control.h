/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket of a volume that is served: how other programs on this machine ask the process
 * that serves it.  The same for the plugin and storageos-fuse.
 *
 *     RUN_DIRECTORY/control/POOL:NAME      a Unix stream socket, for root (and the server's user)
 *
 * One JSON object on a line, and one as the answer, as often as the client likes:
 *
 *     {"version": 1, "command": "stats"}
 *     {"version": 1, "ok": true, "data": {...}}
 *     {"version": 1, "ok": false, "error": "no command 'stat'"}
 *
 * A server answers requests of its own version and of older ones.  Members may be added to an
 * answer without a new version.
 *
 * Nothing that a client does harms the server or another client: a request is CONTROL_REQUEST_MAX
 * bytes long at most, CONTROL_CLIENTS may be connected (another one takes the place of the longest
 * idle), and one that has sent or taken nothing for CONTROL_SECONDS is disconnected.  Commands are
 * carried out one after the other by the socket's own thread.
 */
#pragma once

#include "common/base/json.h"
#include "common/service/config.h"

#define CONTROL_VERSION 1
#define CONTROL_REQUEST_MAX 4096u
#define CONTROL_CLIENTS 16u
#define CONTROL_SECONDS 10

typedef struct Control Control;

/* Carries out a command; the result is the answer's `data` and the caller's to release, or NULL
 * with *error.  Runs in the socket's thread. */
typedef Json *(*ControlHandler)(gpointer data, const char *command, Json *request, GError **error);

/* Makes the socket, and its directory.  The caller has the volume open for writing: whoever else
 * answers under its name serves what had that name before, and loses it.  Where the socket cannot
 * be had, or somebody takes it away later, that is tried again until it can (control-listener.h).
 * NULL where there is no memory, descriptor or thread. */
Control *control_new(const Config *config, const char *name, ControlHandler handler, gpointer data,
		     GError **error);

/* Ends the thread, once the command that it is carrying out has ended, and removes the socket.
 * NULL is allowed. */
void control_free(Control *control);
