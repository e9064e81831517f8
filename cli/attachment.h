/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is attached, as it is: computed from mounts, loop devices, configfs, processes and locks
 * every time; the state file (state.h) only adds what cannot be seen.  So it is right after any
 * part was killed, this program in the middle of its work included.
 */
#pragma once

#include "cli/facts.h"
#include "cli/places.h"
#include "cli/sample.h"
#include "cli/state.h"
#include "common/base/json.h"

typedef enum {
	ATTACHMENT_NONE, /* nothing of it is there */
	ATTACHMENT_WORKING,
	ATTACHMENT_BROKEN,  /* parts of it are there; `problem` says which one is missing */
	ATTACHMENT_FOREIGN, /* somebody serves it by other means than `attach`; `problem` says who
			     */
} AttachmentHealth;

/* What people are told, and do.  The table in docs/operations.md has a row for each, and for each
 * thing that may be missing of a broken one. */
typedef enum {
	STATE_DETACHED,
	STATE_ATTACHED,
	STATE_BROKEN,
	STATE_IN_USE,
	STATE_MISSING, /* there was such a volume, and its file is not there */
	/* All parts are there, but: */
	STATE_FAILED,	 /* it can only be read */
	STATE_HUNG,	 /* its disk, or its server, does not answer */
	STATE_FULL,	 /* its pool's file system has no space */
	STATE_UNWATCHED, /* its server cannot be asked */
} AttachmentState;

/* The parts over FUSE; each NULL, 0 or FALSE where it is not there. */
typedef struct {
	gboolean mounted;
	pid_t server;
	gint64 server_start;
	char *loop; /* "/dev/loop3" */
} FuseParts;

/* The parts over TCMU. */
typedef struct {
	char *backstore; /* its directory in configfs */
	char *target;	 /* the loopback target's */
	gboolean lun;	 /* the target has a LUN that leads to the backstore */
	char *device;	 /* "/dev/sdb" */
	pid_t runner;	 /* the running tcmu-runner; looked up only if there is a backstore */
	gboolean runner_answers;
	char *foreign; /* the name of a backstore for this volume that is not ours */
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
	gboolean link_is_wrong; /* that is what is broken */
	gboolean litter;	/* link or state file are there though nothing is attached */
	gboolean replaced; /* what is served is not what the name means now; `problem` says it */
	FuseParts fuse;
	TcmuParts tcmu;
	Facts facts;	      /* of what the name means now */
	GError *facts_error;  /* why they are not known; NULL: they are */
	Sample *sample;	      /* of what is served, or NULL */
	GError *sample_error; /* why not; NULL: nothing is served */
} Attachment;

Attachment *attachment_inspect(const Places *places);
void attachment_free(Attachment *attachment);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Attachment, attachment_free)

/* Whether nothing serves or shows the volume.  A link that was left, to what is others', is nothing
 * of it. */
gboolean attachment_is_gone(const Attachment *attachment);

/* Whether it has a device that its server answers for. */
gboolean attachment_device_works(const Attachment *attachment);

const char *attachment_state_name(AttachmentState state);

/* "TCMU", "FUSE", or NULL. */
const char *attachment_via(const Attachment *attachment);
void attachment_to_json(const Attachment *attachment, Json *object);
