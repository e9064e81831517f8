/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An image that two machines share, pretended, with a clock of its own: what the lock, the
 * blocklist and the owner's record of an image of Ceph do, as handler/failover.h relies on them.
 *
 * Each machine has a Failover over a handle.  A write through a handle that is blocklisted, or has
 * not the lock, ends with an error and changes nothing.
 *
 * Threading: requests from any thread, and one thread in which time passes.
 */
#pragma once

#include "handler/failover.h"
#include "tests/harness.h"

#define IMAGE_BLOCKS 8
#define IMAGE_CLIENTS 4096
#define SECOND G_TIME_SPAN_SECOND

typedef struct Image Image;

typedef struct {
	Image *image;
	const char *host;
	Failover *failover;
	guint client;	     /* the handle: the number of its client */
	gint64 due;	     /* its next step */
	gboolean frozen;     /* takes no step */
	gboolean cut;	     /* the storage answers it with errors */
	gboolean take_fails; /* somebody else is always faster */
	gboolean dies_young; /* it is blocklisted as soon as it has the lock, and a read notices */
	guint reopened;
} Machine;

struct Image {
	GMutex lock;
	gint64 now;    /* atomic */
	guint owner;   /* the client that has the lock; 0: nobody */
	guint clients; /* that there were */
	gboolean blocklisted[IMAGE_CLIENTS];
	guint64 counts[IMAGE_CLIENTS], changes[IMAGE_CLIENTS];
	const Machine *machines_of[IMAGE_CLIENTS];
	gint64 counted;		      /* when the owner last counted up */
	guint64 blocks[IMAGE_BLOCKS]; /* the stamp of the last write of each */
	guint breaks, takes;
	gboolean regressed; /* an older stamp has replaced a newer one */
	Machine a, b;
};

Image *image_new(void);
void image_free(Image *image);

/* By somebody else, by hand: the lock stays the client's. */
void image_blocklist(Image *image, Machine *machine);

/* Time passes: the owner counts, the machines take the steps that are due. */
void image_pass(Image *image, gint64 duration);

/* Takes all steps that are due now. */
void machine_settle(Machine *machine);

FailoverState machine_state(const Machine *machine);
Machine *image_other(Image *image, const Machine *machine);

/* A write of the machine's present handle: 0, -ESHUTDOWN or -EROFS; -EIO where it is cut off. */
int machine_store(Machine *machine, guint block, guint64 stamp);
/* 0, or -EIO where the handle is blocklisted. */
int machine_load(Machine *machine, guint block, guint64 *ret_stamp);

/* A whole request: begun, carried out, judged, ended. */
int machine_write(Machine *machine, guint block, guint64 stamp);
int machine_read(Machine *machine, guint block, guint64 *ret_stamp);
