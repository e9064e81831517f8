/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which machine this is, which boot of it, and which process: what tells the users of a shared disk
 * apart.
 *
 * Threading: any; host_pretend() while no other thread calls.
 */
#pragma once

#include <glib.h>

#define HOST_NAME_SIZE 65 /* bytes of a name, with the final NUL */

typedef struct {
	guint8 machine[16]; /* of /etc/machine-id; zeros: there is none, as in some containers */
	guint8 boot[16];    /* random, drawn by the kernel at boot; zeros: unknown */
	guint32 process;    /* its ID */
	char name[HOST_NAME_SIZE];
} Host;

void host_get(Host *ret_host);

/* Whether both are of the same boot of the same machine, and so under one kernel.  FALSE where the
 * boot is unknown.  Two copies of a running virtual machine cannot be told apart. */
gboolean host_is_same_boot(const Host *a, const Host *b);

/* For tests: host_get() returns a copy of `host` from now on; NULL: the truth again. */
void host_pretend(const Host *host);
