/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where control sockets are, for the server's and the client's half of control.h.
 */
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include "common/service/config.h"
#include "common/service/volume-name.h"

/* The directory of the sockets, opened for its path only; -1 and errno. */
int control_directory_open(const Config *config);

/* The same, made if need be, for nobody but its owner; -1 and *error. */
int control_directory_make(const Config *config, GError **error);

/* The address of a socket in that directory, which stays open as long as the address is used: a
 * path of any length fits that way. */
void control_address(int directory, const char *name, struct sockaddr_un *ret_address);

/* The socket's name for a volume; another one for every volume, and short.  Free the result. */
char *control_name(const VolumeName *volume);

/* The names of the sockets that there are, answering or not; free with g_ptr_array_unref().  NULL
 * where that cannot be seen. */
GPtrArray *control_list(const Config *config, GError **error);
