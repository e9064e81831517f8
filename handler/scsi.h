/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SCSI commands (SPC-4, SBC-4) for a thin-provisioned disk over a volume.
 *
 *     CDB --scsi_command()--> answered at once       (needs no disk)
 *                             a Request              (needs the disk: for request_execute())
 *                             left to the runner     (plain reads and writes)
 *
 * One table (scsi-table.c) says for each command which bits of its CDB have a meaning, how long it
 * may take and which function carries it out.  REPORT SUPPORTED OPERATION CODES is answered from
 * it, and a CDB with any other bit set is refused.  docs/scsi.md says what each command does here.
 *
 * A data-in buffer is zeroed before a command is answered, so that the part which is not filled
 * leaks nothing of other commands.  Data-out whose length is not the CDB's is refused.
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

/* Target port groups (ALUA). */
typedef enum {
	SCSI_PORTS_NONE,	/* there are none to report */
	SCSI_PORTS_ALUA,	/* REPORT TARGET PORT GROUPS reports them */
	SCSI_PORTS_UNSUPPORTED, /* not reported */
} ScsiPorts;

#define SCSI_GROUPS_MAX 32
#define SCSI_MEMBERS_MAX 128
#define SCSI_TARGET_MAX 223 /* bytes of a target's name */
#define SCSI_NAME_MAX 252   /* bytes of a designator, a multiple of four */

typedef struct {
	guint16 id;
	guint8 state, supported, status; /* as in REPORT TARGET PORT GROUPS */
	guint8 transition_seconds;
	gboolean preferred;
} ScsiGroup;

typedef struct {
	guint group;  /* an index of groups[] */
	guint16 port; /* relative target port identifier */
} ScsiMember;

/* A port of the unit. */
typedef struct {
	char target[SCSI_TARGET_MAX + 1]; /* its name */
	guint16 tag;			  /* of the target's port group, in the sense of iSCSI */
	guint16 port, group;		  /* relative target port identifier; the group's id */
	guint8 protocol;
} ScsiPort;

/* Facts about the unit that are not the volume's, and may change at any time. */
typedef struct {
	char serial[SCSI_SERIAL_MAX + 1]; /* the kernel's; empty if unknown */
	ScsiPorts ports;
	/* If `ports` is SCSI_PORTS_ALUA. */
	ScsiGroup groups[SCSI_GROUPS_MAX];
	guint n_groups;
	ScsiMember members[SCSI_MEMBERS_MAX];
	guint n_members;
	ScsiPort port;		  /* one that is enabled */
	gboolean needs_lock;	  /* a group has the type with which groups are made */
	gboolean no_reservations; /* switched off: the kernel refuses their commands */
} ScsiIdentity;

/* What the volume's file system has left, and what the volume takes of it, bytes. */
typedef struct {
	guint64 available, used;
} ScsiSpace;

/* The parameters of a SANITIZE. */
typedef enum { SANITIZE_BLOCK_ERASE, SANITIZE_OVERWRITE } SanitizeKind;

#define SANITIZE_PATTERN_MAX 4096

typedef struct {
	SanitizeKind kind;
	gboolean immediate;    /* answer when the work has started, not when it is done */
	gboolean unrestricted; /* EXIT FAILURE MODE may end a failure */
	guint8 passes;
	gboolean invert; /* invert the pattern in every second pass */
	guint16 pattern_length;
	guint8 pattern[SANITIZE_PATTERN_MAX];
} Sanitize;

typedef enum {
	SCSI_NORMAL,
	SCSI_SANITIZING,
	SCSI_SANITIZE_FAILED,
	SCSI_LOST, /* there is no volume, and there will be none */
} ScsiState;

/* One logical unit.  Its owner sets the members above the empty line and zeroes the rest. */
typedef struct {
	guint64 blocks;	      /* atomic; scsi_unit_resize() */
	guint32 block_size;   /* bytes */
	guint32 max_transfer; /* blocks */
	gboolean read_only;   /* a snapshot: nothing an initiator does makes it writable */
	gboolean direct;      /* of a direct volume, whose limits are others */
	gboolean shared; /* other gateways may take it over: SANITIZE would go on beside them */
	void (*identify)(gpointer data, ScsiIdentity *ret_identity);
	/* May block: called by requests only, never by scsi_command(). */
	void (*get_space)(gpointer data, ScsiSpace *ret_space);
	gpointer data;

	/* Atomic, each by itself. */
	gint state;	      /* ScsiState */
	gint fenced;	      /* another gateway has taken the unit: it is on standby */
	gint unfit;	      /* the backstore is not set up as its volume needs it */
	gint runner_fences;   /* the runner has seen a group that needs a lock (runner-abi.c) */
	gint progress;	      /* of a SANITIZE, in 65536ths */
	gint exit_restricted; /* only another SANITIZE ends a failed one */
	gint write_protected; /* SWP of the control mode page */
	gint write_through;   /* the volume has no write cache; as long as it is not open, FALSE */
	gint size_changed;    /* and no initiator has been told yet */
	gint threshold;	      /* ScsiThreshold */
	gint threshold_count; /* the threshold, in threshold sets */
	gint copy_list;	      /* the EXTENDED COPY whose status is kept: identifier + 1, or 0 */
	gint copy_time;	      /* when it ended, seconds of the monotonic clock */
	gint copy_segments;
} ScsiUnit;

/* Free space is above the threshold; or it is not; or it is not and an initiator has been told. */
typedef enum { THRESHOLD_ARMED, THRESHOLD_REACHED, THRESHOLD_TOLD } ScsiThreshold;

typedef struct {
	const guint8 *cdb;
	const struct iovec *iov; /* data-in or data-out, all of it */
	gsize count;
	guint8 *sense; /* of RUNNER_SENSE_SIZE bytes */
} ScsiCommand;

/* Parses a SANITIZE that overwrites or erases.  FALSE if it is invalid. */
gboolean scsi_sanitize_parse(const ScsiCommand *command, guint32 block_size,
			     Sanitize *ret_sanitize);

/* Returns the command's status, with its sense data filled; or
 *     RUNNER_LATER        *ret_request must be carried out, and its result is the answer
 *     RUNNER_NOT_HANDLED  the runner carries the command out; it is well-formed
 * `ready`: the volume is open. */
RunnerStatus scsi_command(ScsiUnit *unit, const ScsiCommand *command, gboolean ready,
			  Request *ret_request);

static inline guint64 scsi_unit_blocks(const ScsiUnit *unit)
{
	return __atomic_load_n(&unit->blocks, __ATOMIC_RELAXED);
}

/* The unit has `blocks` blocks from now on.  `tell`: one of the next commands is answered with a
 * unit attention. */
void scsi_unit_resize(ScsiUnit *unit, guint64 blocks, gboolean tell);

/* Notes how much space is left.  Whenever it falls below the threshold, one of the next commands is
 * answered with a unit attention. */
void scsi_unit_note_space(ScsiUnit *unit, const ScsiSpace *space);

/* The threshold, bytes: at or below it, space is short. */
guint64 scsi_unit_threshold(const ScsiUnit *unit, const ScsiSpace *space);
