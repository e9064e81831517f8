/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The doorman: one thread of the process, which awaits the clients of all its control sockets, and
 * sees to it that the sockets keep their names (control-listener.h).
 *
 * When a client comes to a post, the doorman calls `come`, and leaves the post alone until
 * doorman_return().
 *
 * The thread exists while there is a post, and blocks all signals.
 *
 * Threading: any.
 */
#pragma once

#include "common/service/control-listener.h"

typedef struct DoormanPost DoormanPost;
struct DoormanPost {
	/* Belongs to the doorman, or from `come` to doorman_return() to whoever was called. */
	ControlListener listener;
	/* Must not wait, nor call the doorman.  FALSE: nobody can see to the client now; it is
	 * called again a little later. */
	gboolean (*come)(DoormanPost *post);

	/* Private. */
	gboolean away;
	DoormanPost *next;
};

/* `post` has a listener and `come`, and is otherwise zeroed; it is still the caller's.  FALSE if
 * there is no descriptor or thread. */
gboolean doorman_add(DoormanPost *post, GError **error);

/* Leaves the post to the doorman; the caller must not use it any more. */
void doorman_return(DoormanPost *post);

/* Waits until the post has been given back.  Allowed for a post that was not added. */
void doorman_remove(DoormanPost *post);
