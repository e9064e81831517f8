/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket of a served volume: how other programs on this machine ask the process that
 * serves it.  The same for the plugin and storageos-fuse.
 *
 *     RUN_DIRECTORY/control/POOL:NAME      a Unix stream socket, for root (and the server's user)
 *
 * A client sends one JSON object on a line and gets one as the answer, any number of times:
 *
 *     {"version": 1, "command": "stats"}
 *     {"version": 1, "ok": true, "data": {...}}
 *     {"version": 1, "ok": false, "error": "no command 'stat'"}
 *
 * A server answers requests of its own version and of older ones.  Members may be added to an
 * answer without a new version.
 *
 * A client can harm neither the server nor another client (I9): a request has at most
 * CONTROL_REQUEST_MAX bytes; at most CONTROL_CLIENTS are connected, and another one replaces the
 * client that has been idle longest; a client that has sent or received nothing for CONTROL_SECONDS
 * is disconnected.  The socket's own thread carries out one command after the other; it exists
 * while there are clients.  One thread of the process awaits the clients of all its sockets.
 */
#pragma once

#include "common/base/json.h"
#include "common/service/config.h"

#define CONTROL_VERSION 1
#define CONTROL_REQUEST_MAX 4096u
#define CONTROL_CLIENTS 16u
#define CONTROL_SECONDS 10

typedef struct Control Control;

/* Carries out a command in the socket's thread, which may take long.  Returns the answer's `data`,
 * which the caller will release, or NULL with *error. */
typedef Json *(*ControlHandler)(gpointer data, const char *command, Json *request, GError **error);

/* Creates the socket, and its directory.  The caller must have the volume open for writing: another
 * server under its name serves what had the name before, and loses the socket.  If the socket
 * cannot be created, or somebody removes it later, that is tried again until it succeeds
 * (control-listener.h).  NULL if there is no memory, descriptor or thread. */
Control *control_new(const Config *config, const char *name, ControlHandler handler, gpointer data,
		     GError **error);

/* Ends the thread after the command that it is carrying out, and removes the socket.  NULL is
 * allowed. */
void control_free(Control *control);
