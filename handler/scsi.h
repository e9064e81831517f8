/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SCSI commands (SPC-4, SBC-4) for a thin-provisioned disk over a volume.
 *
 *     CDB --scsi_command()--> answered at once            (what needs no disk)
 *                             a Request                   (what does: for request_execute())
 *                             left to the runner          (plain reads and writes, ALUA)
 *
 * One table (scsi-table.c) says of each command which bits of its CDB mean something, how long it
 * may take and who carries it out; REPORT SUPPORTED OPERATION CODES answers from it, and a CDB with
 * any other bit is refused.  docs/scsi.md tells what each command does here.
 *
 * A data-in buffer is zeroed before anything is answered: what is not filled tells nothing of other
 * commands.  Data-out that is not as long as the CDB says is refused.
 *
 * Threading: scsi_command() and scsi_unit_*() from any thread; they do not sleep and allocate
 * nothing.
 */
#pragma once

#include "handler/request.h"
#include "handler/sense.h"

#define SCSI_VENDOR "STORAGOS" /* 8 characters */
#define SCSI_PRODUCT "StorageOS volume"
#define SCSI_SERIAL_MAX 250

/* Target port groups (ALUA), which are the runner's to tell of. */
typedef enum {
	SCSI_PORTS_NONE,	/* there are none that it tells of */
	SCSI_PORTS_ALUA,	/* there are, and it answers REPORT TARGET PORT GROUPS */
	SCSI_PORTS_UNSUPPORTED, /* it must not be asked: it would fail, and all reads and writes,
				   too */
} ScsiPorts;

/* What is known of the unit outside of the volume, and may change at any time. */
typedef struct {
	char serial[SCSI_SERIAL_MAX + 1]; /* the kernel's; empty: not known */
	ScsiPorts ports;
	gboolean no_reservations; /* they are switched off: the kernel refuses their commands */
} ScsiIdentity;

/* The space that the volume's file system has left, and what the volume takes of it; bytes. */
typedef struct {
	guint64 available, used;
} ScsiSpace;

/* A SANITIZE that was asked for. */
typedef enum { SANITIZE_BLOCK_ERASE, SANITIZE_OVERWRITE } SanitizeKind;

#define SANITIZE_PATTERN_MAX 4096

typedef struct {
	SanitizeKind kind;
	gboolean immediate;    /* answered when it has begun, not when it is done */
	gboolean unrestricted; /* a failure may be left by EXIT FAILURE MODE */
	guint8 passes;
	gboolean invert; /* the pattern, with every second pass */
	guint16 pattern_length;
	guint8 pattern[SANITIZE_PATTERN_MAX];
} Sanitize;

typedef enum {
	SCSI_NORMAL,
	SCSI_SANITIZING,
	SCSI_SANITIZE_FAILED,
	SCSI_LOST, /* there is no volume, and there will not be one */
} ScsiState;

/* One logical unit.  Who owns it sets what is above the line, and zeroes the rest. */
typedef struct {
	guint64 blocks;	      /* atomic; scsi_unit_resize() */
	guint32 block_size;   /* bytes */
	guint32 max_transfer; /* blocks */
	void (*identify)(gpointer data, ScsiIdentity *ret_identity);
	void (*get_space)(gpointer data, ScsiSpace *ret_space); /* may sleep: not called here */
	gpointer data;

	/* Atomic, each by itself. */
	gint state;	      /* ScsiState */
	gint progress;	      /* of SANITIZE, in 65536ths */
	gint exit_restricted; /* a failed SANITIZE can only be done again */
	gint write_protected; /* SWP of the control mode page */
	gint size_changed;    /* and it was not told yet */
	gint threshold;	      /* ScsiThreshold */
	gint threshold_count; /* where it is, in threshold sets */
	gint copy_list;	      /* of the last EXTENDED COPY whose status is kept: identifier + 1 */
	gint copy_time;	      /* when it was done, seconds of the monotonic clock */
	gint copy_segments;
} ScsiUnit;

/* Whether the space is above the threshold, and whether that it is not has been told. */
typedef enum { THRESHOLD_ARMED, THRESHOLD_REACHED, THRESHOLD_TOLD } ScsiThreshold;

typedef struct {
	const guint8 *cdb;
	const struct iovec *iov; /* data-in or data-out, all of it */
	gsize count;
	guint8 *sense; /* of RUNNER_SENSE_SIZE bytes */
} ScsiCommand;

/* Reads what a SANITIZE that overwrites or erases asks for.  FALSE: it is not valid. */
gboolean scsi_sanitize_parse(const ScsiCommand *command, guint32 block_size,
			     Sanitize *ret_sanitize);

/* Answers, with the sense data in its place; or
 *     RUNNER_LATER        *ret_request is what must be done, and its result is the answer
 *     RUNNER_NOT_HANDLED  it is the runner's to carry out; it was looked at and is well-formed
 * `ready`: there is a volume. */
RunnerStatus scsi_command(ScsiUnit *unit, const ScsiCommand *command, gboolean ready,
			  Request *ret_request);

static inline guint64 scsi_unit_blocks(const ScsiUnit *unit)
{
	return __atomic_load_n(&unit->blocks, __ATOMIC_RELAXED);
}

/* It is larger from now on.  `tell`: one command after that is answered with a unit attention. */
void scsi_unit_resize(ScsiUnit *unit, guint64 blocks, gboolean tell);

/* Tells how much space is left: where it falls below the threshold, one command after that is
 * answered with a unit attention; and again when it falls after having risen. */
void scsi_unit_note_space(ScsiUnit *unit, const ScsiSpace *space);

/* The space at and below which that happens, bytes. */
guint64 scsi_unit_threshold(const ScsiUnit *unit, const ScsiSpace *space);
