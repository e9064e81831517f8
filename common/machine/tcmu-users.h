/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who serves TCMU devices on this machine.
 *
 * The kernel tells every process on the multicast group of the netlink family TCM-USER of each
 * device that comes or goes, takes the first answer, and gives a device's ring to whoever opens it
 * first.  It knows nothing of owners: a daemon may answer for a device that it does not serve, and
 * one that starts resets the rings of devices that another is serving.  So there should be one, and
 * who else is there is to be told.
 *
 * Looking at other users' processes takes root; without, some may remain unseen.  Nor does the
 * kernel show who is on a group beyond the 32nd, unless a module is loaded for it, which is not
 * done: then open rings alone tell.
 */
#pragma once

#include <glib.h>

typedef struct {
	guint32 pid;
	char *command;
	gboolean listens; /* on the multicast group */
	char *device;	  /* "/dev/uio0", of which it has the ring open, or NULL */
	gboolean ours;	  /* a tcmu-runner outside containers: the one that we would start, of
			   * which there is never a second (it locks), starting up or ending */
} TcmuUser;

typedef struct {
	gboolean netlink;  /* the family is registered */
	guint32 group;	   /* its multicast group; 0: not known */
	guint devices;	   /* of TCMU in the kernel */
	guint own_devices; /* those that are ours */
	char *subtypes;	   /* of the others, "rbd, qcow"; or NULL */
	gboolean complete; /* looked at as root */
	GPtrArray *users;  /* of TcmuUser */
} TcmuUsers;

/* Bounded by the number of processes and their files. */
void tcmu_users_find(TcmuUsers *ret_users);
void tcmu_users_clear(TcmuUsers *users);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(TcmuUsers, tcmu_users_clear)

/* The same in given directories instead of /proc and /sys, and for a given group. */
void tcmu_users_scan(const char *proc, const char *sys, TcmuUsers *users);

/* The first user that is neither the process `runner` (0: none) nor `ours`, or NULL. */
const TcmuUser *tcmu_users_other(const TcmuUsers *users, guint32 runner);
