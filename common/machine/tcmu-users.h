/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which processes serve TCMU devices on this machine.
 *
 * The kernel announces each new or removed device to every process in the multicast group of the
 * netlink family TCM-USER, and accepts the first answer.  The first process that opens a device's
 * ring gets it.  The kernel does not record which daemon owns a device: a daemon may answer for a
 * device that it does not serve, and a daemon that starts resets the rings of devices that another
 * one serves.  So only one such daemon should run, and any other must be reported.
 *
 * Without root, processes of other users may be missed.  For a group beyond the 32nd, the kernel
 * shows the members only if a diagnostic module is loaded, and none is loaded here: then only
 * processes with open rings are found.
 */
#pragma once

#include <glib.h>

typedef struct {
	guint32 pid;
	char *command;
	gboolean listens; /* it is in the multicast group */
	char *device;	  /* a ring that it has open ("/dev/uio0"), or NULL */
	gboolean ours;	  /* a tcmu-runner in our PID namespace, starting up or ending: a lock of
			   * its own lets only one run, so it is no second daemon */
} TcmuUser;

typedef struct {
	gboolean netlink;      /* the netlink family is registered */
	char *netlink_problem; /* why it is not known whether it is; or NULL */
	guint32 group;	       /* its multicast group; 0: not known */
	guint devices;	       /* number of TCMU devices */
	guint own_devices;     /* of these, devices of our subtype */
	char *subtypes;	       /* of the other devices: "rbd, qcow"; or NULL */
	gboolean complete;     /* every process was looked at (as root) */
	GPtrArray *users;      /* of TcmuUser */
} TcmuUsers;

/* Takes time in proportion to the number of processes and their open files. */
void tcmu_users_find(TcmuUsers *ret_users);
void tcmu_users_clear(TcmuUsers *users);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(TcmuUsers, tcmu_users_clear)

/* The same with other directories in place of /proc and /sys, and for the group in `users`. */
void tcmu_users_scan(const char *proc, const char *sys, TcmuUsers *users);

/* The first user that is neither the process `runner` (0: none) nor `ours`, or NULL. */
const TcmuUser *tcmu_users_other(const TcmuUsers *users, guint32 runner);
