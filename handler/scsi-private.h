/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What scsi.c (the dispatch of a command), scsi-table.c (the commands) and the scsi-*.c that carry
 * them out share.
 */
#pragma once

#include "common/base/bytes.h"
#include "handler/scsi.h"

#define SCSI_NO_ACTION (-1)
#define SCSI_CDB_MAX 16

typedef enum {
	SCSI_ALWAYS = 1 << 0,  /* allowed in every state of the unit */
	SCSI_WRITES = 1 << 1,  /* refused when the unit is write protected */
	SCSI_DATA_IN = 1 << 2, /* answers in the data buffer, which is zeroed before */
	SCSI_KERNEL = 1 << 3,  /* the kernel carries it out; it never gets here */
	SCSI_LUN = 1 << 4,     /* bits 7 to 5 of byte 1 are ignored: in SCSI-2 they were the LUN */
} ScsiFlags;

typedef RunnerStatus (*ScsiRun)(ScsiUnit *unit, const ScsiCommand *command, Request *request);

typedef struct {
	guint8 opcode;
	gint16 action; /* the service action, or SCSI_NO_ACTION */
	guint8 flags;
	guint16 timeout; /* recommended, seconds */
	ScsiRun run;
	guint8 usage[SCSI_CDB_MAX]; /* the bits that have a meaning */
} ScsiRow;

extern const ScsiRow scsi_table[];
extern const guint scsi_table_length;

/* The row for an opcode and a service action; NULL if there is none. */
const ScsiRow *scsi_find(guint8 opcode, gint action);
/* Whether the opcode's commands have service actions. */
gboolean scsi_has_actions(guint8 opcode);
guint scsi_cdb_length(guint8 opcode);

/* ---- data */

/* The length of the command's data-in or data-out, bytes. */
gsize scsi_data_length(const ScsiCommand *command);

/* Copies the answer to data-in: as much as the initiator asked for (`allocation`) and the buffer
 * holds.  Returns RUNNER_OK. */
RunnerStatus scsi_answer(const ScsiCommand *command, const void *answer, gsize length,
			 guint64 allocation);

/* Copies the first `length` bytes of data-out.  FALSE if there are fewer. */
gboolean scsi_take(const ScsiCommand *command, void *to, gsize length);

/* ---- the commands */

/* Leaves the command to the runner. */
RunnerStatus scsi_leave(ScsiUnit *unit, const ScsiCommand *command, Request *request);
/* Answers GOOD: there is nothing to do. */
RunnerStatus scsi_nothing(ScsiUnit *unit, const ScsiCommand *command, Request *request);

RunnerStatus scsi_send_diagnostic(ScsiUnit *unit, const ScsiCommand *command, Request *request);
RunnerStatus scsi_start_stop(ScsiUnit *unit, const ScsiCommand *command, Request *request);

/* scsi-inquiry.c */
RunnerStatus scsi_inquiry(ScsiUnit *unit, const ScsiCommand *command, Request *request);
/* The designator that the kernel and the runner derive from a serial number: 6001405h and the
 * serial's hexadecimal digits, SCSI_NAA_LENGTH bytes. */
#define SCSI_NAA_LENGTH 16
void scsi_naa_of(const char *serial, guint8 *naa);
/* Puts a designator of at most 255 bytes.  Returns its length with the header, 4 bytes. */
gsize scsi_put_designator(guint8 *to, guint8 code_set, guint8 kind, const void *value,
			  gsize length);

/* scsi-groups.c */
RunnerStatus scsi_report_groups(ScsiUnit *unit, const ScsiCommand *command, Request *request);
/* Puts the designators of a port and its target, SCSI_PORT_DESIGNATORS_MAX bytes at most.  Returns
 * how many. */
#define SCSI_PORT_DESIGNATORS_MAX (2 * (4 + 4) + 2 * (4 + SCSI_NAME_MAX))
gsize scsi_put_port(guint8 *to, const ScsiPort *port);
/* TRUE once after the runner has seen a group that needs a lock: that all are of other types now,
 * it learns only when it is asked for them. */
gboolean scsi_runner_is_asked(ScsiUnit *unit, const ScsiIdentity *identity);

/* scsi-mode.c */
RunnerStatus scsi_mode_sense(ScsiUnit *unit, const ScsiCommand *command, Request *request);
RunnerStatus scsi_mode_select(ScsiUnit *unit, const ScsiCommand *command, Request *request);

/* scsi-opcodes.c */
RunnerStatus scsi_report_opcodes(ScsiUnit *unit, const ScsiCommand *command, Request *request);
RunnerStatus scsi_report_functions(ScsiUnit *unit, const ScsiCommand *command, Request *request);

/* scsi-capacity.c */
RunnerStatus scsi_read_capacity_10(ScsiUnit *unit, const ScsiCommand *command, Request *request);
RunnerStatus scsi_read_capacity_16(ScsiUnit *unit, const ScsiCommand *command, Request *request);
RunnerStatus scsi_lba_status(ScsiUnit *unit, const ScsiCommand *command, Request *request);

/* scsi-data.c */
RunnerStatus scsi_read_write(ScsiUnit *unit, const ScsiCommand *command, Request *request);
RunnerStatus scsi_write_atomic(ScsiUnit *unit, const ScsiCommand *command, Request *request);
RunnerStatus scsi_write_verify(ScsiUnit *unit, const ScsiCommand *command, Request *request);
RunnerStatus scsi_verify(ScsiUnit *unit, const ScsiCommand *command, Request *request);
RunnerStatus scsi_or_write(ScsiUnit *unit, const ScsiCommand *command, Request *request);
RunnerStatus scsi_compare_and_write(ScsiUnit *unit, const ScsiCommand *command, Request *request);
RunnerStatus scsi_write_same(ScsiUnit *unit, const ScsiCommand *command, Request *request);
RunnerStatus scsi_prefetch(ScsiUnit *unit, const ScsiCommand *command, Request *request);
RunnerStatus scsi_synchronize(ScsiUnit *unit, const ScsiCommand *command, Request *request);

/* scsi-erase.c */
RunnerStatus scsi_unmap(ScsiUnit *unit, const ScsiCommand *command, Request *request);
RunnerStatus scsi_format(ScsiUnit *unit, const ScsiCommand *command, Request *request);
RunnerStatus scsi_sanitize(ScsiUnit *unit, const ScsiCommand *command, Request *request);
RunnerStatus scsi_sanitize_exit(ScsiUnit *unit, const ScsiCommand *command, Request *request);

/* scsi-log.c */
RunnerStatus scsi_log_sense(ScsiUnit *unit, const ScsiCommand *command, Request *request);
RunnerStatus scsi_request_sense(ScsiUnit *unit, const ScsiCommand *command, Request *request);
RunnerStatus scsi_defects_10(ScsiUnit *unit, const ScsiCommand *command, Request *request);
RunnerStatus scsi_defects_12(ScsiUnit *unit, const ScsiCommand *command, Request *request);

/* scsi-copy.c */
RunnerStatus scsi_extended_copy(ScsiUnit *unit, const ScsiCommand *command, Request *request);
RunnerStatus scsi_copy_status(ScsiUnit *unit, const ScsiCommand *command, Request *request);
RunnerStatus scsi_copy_parameters(ScsiUnit *unit, const ScsiCommand *command, Request *request);

/* ---- limits, in blocks */

guint32 scsi_max_atomic(const ScsiUnit *unit);
guint32 scsi_best_transfer(const ScsiUnit *unit);     /* one piece of the engine */
guint32 scsi_unmap_granularity(const ScsiUnit *unit); /* what is less is not unmapped */
/* Atomic writes consist of whole physical blocks; 0: there are none. */
guint32 scsi_atomic_unit(const ScsiUnit *unit);
guint32 scsi_max_compare(const ScsiUnit *unit);
guint32 scsi_max_write_same(const ScsiUnit *unit);
/* The exponent of a threshold set: 2^exponent blocks are 1 MiB. */
guint8 scsi_threshold_exponent(const ScsiUnit *unit);
#define SCSI_THRESHOLD_SET ((guint64)1 << 20)
#define SCSI_MAX_UNMAP_DESCRIPTORS 256u
