/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where control sockets are, for the server's and the client's half of control.h.
 */
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include "common/service/config.h"
#include "common/service/volume-name.h"

/* Opens the sockets' directory with O_PATH.  -1 with errno set on failure. */
int control_directory_open(const Config *config);

/* The same, and creates the directory if necessary, accessible to its owner alone.  -1 with *error.
 */
int control_directory_make(const Config *config, GError **error);

/* The address of the socket `name` in `directory`, which must stay open while the address is used.
 * It goes through /proc/self/fd, so that a path of any length fits. */
void control_address(int directory, const char *name, struct sockaddr_un *ret_address);

/* The socket's name for a volume: unique, and at most NAME_LENGTH_MAX bytes.  Free the result. */
char *control_name(const VolumeName *volume);

/* The volume whose socket has this name ("default/db"); of a long name, which control_name() has
 * cut, only the beginning.  NULL: control_name() makes no such name.  Free the result. */
char *control_name_volume(const char *socket);

/* The names of all sockets in the directory, sorted, whether anybody answers there or not.  NULL
 * with IO if the directory cannot be read.  Free with g_ptr_array_unref(). */
GPtrArray *control_list(const Config *config, GError **error);
