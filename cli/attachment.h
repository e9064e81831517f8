/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The attachment of a volume, computed each time from mounts, loop devices, configfs, processes and
 * locks.  The state file (state.h) only adds what cannot be seen there.  So the result is right
 * even after any part was killed, including this program in the middle of an attach.
 */
#pragma once

#include "cli/facts.h"
#include "cli/places.h"
#include "cli/sample.h"
#include "cli/state.h"
#include "common/base/json.h"

typedef enum {
	ATTACHMENT_NONE, /* no part exists */
	ATTACHMENT_WORKING,
	ATTACHMENT_BROKEN,  /* some parts exist; `problem` names one that is missing */
	ATTACHMENT_FOREIGN, /* served, but not by `attach`; `problem` names the server */
} AttachmentHealth;

/* What users are shown.  docs/operations.md has a table with a row for each state and, for a
 * broken attachment, for each part that may be missing. */
typedef enum {
	STATE_DETACHED,
	STATE_ATTACHED,
	STATE_BROKEN,
	STATE_IN_USE,
	STATE_MISSING, /* the registry knows the volume, but its file does not exist */
	/* All parts exist, but: */
	STATE_FAILED,	 /* the volume is read-only */
	STATE_HUNG,	 /* its disk or its server does not answer */
	STATE_FULL,	 /* its pool's file system is full */
	STATE_UNWATCHED, /* its server cannot be reached through its control socket */
} AttachmentState;

/* The parts of an attachment over FUSE; NULL, 0 or FALSE for a part that is missing. */
typedef struct {
	gboolean mounted;
	pid_t server;
	gint64 server_start;
	char *loop; /* "/dev/loop3" */
} FuseParts;

/* The parts of an attachment over TCMU. */
typedef struct {
	char *backstore; /* its directory in configfs */
	char *target;	 /* the loopback target's */
	gboolean lun;	 /* the target has a LUN that leads to the backstore */
	char *device;	 /* "/dev/sdb" */
	pid_t runner;	 /* the running tcmu-runner; looked up only if there is a backstore */
	gboolean runner_answers;
	char *foreign; /* name of a backstore of this volume that `attach` did not make */
} TcmuParts;

typedef struct {
	AttachmentHealth health;
	AttachmentState state;
	Frontend frontend; /* TCMU or FUSE; AUTO: not known */
	char *problem;
	char *device;
	char *link;		/* /dev/storageos/..., where it leads to the device */
	char *reason;		/* why that front end was chosen; NULL: not known */
	pid_t server;		/* that serves it, 0: none */
	gboolean link_is_wrong; /* `health` is BROKEN only because of the link */
	gboolean read_only;	/* it is attached for reading only, and is no snapshot */
	gboolean litter;	/* a link or a state file exists */
	gboolean
		replaced; /* the name now means another volume than the served one; see `problem` */
	FuseParts fuse;
	TcmuParts tcmu;
	Facts facts;	      /* of the volume that the name means now */
	GError *facts_error;  /* why `facts` is unknown, or NULL */
	Sample *sample;	      /* of the volume that is served, or NULL */
	GError *sample_error; /* why the server could not be asked; NULL: no server, or `sample` */
} Attachment;

Attachment *attachment_inspect(const Places *places);
void attachment_free(Attachment *attachment);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Attachment, attachment_free)

/* Whether nothing serves the volume or exports it as a device.  A stale link does not count. */
gboolean attachment_is_gone(const Attachment *attachment);

/* BUSY unless that is so of the volume; the message says to detach it "to PURPOSE".  A broken
 * attachment holds no lock on the volume, but its device may still be in use. */
gboolean attachment_require_gone(const Places *places, const char *purpose, GError **error);

/* Whether its device exists and its server runs. */
gboolean attachment_device_works(const Attachment *attachment);

const char *attachment_state_name(AttachmentState state);

/* "TCMU", "FUSE", or NULL. */
const char *attachment_via(const Attachment *attachment);
void attachment_to_json(const Attachment *attachment, Json *object);
