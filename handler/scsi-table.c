/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every command that a unit answers, including those of the kernel, sorted by opcode, as scsi.c
 * relies on: opcode, service action, flags, recommended time-out (s), function, and the bits of the
 * CDB that have a meaning, without the service action.  The last byte, CONTROL, is checked
 * elsewhere.
 *
 * LUN: in SCSI-2, bits 7 to 5 of byte 1 of every CDB were the unit's number.  Initiators still set
 * them until they know that a target is newer.  Linux does so in the first INQUIRY to each unit; if
 * that is refused, it gets no disk for a unit other than 0.  The bits are ignored wherever they
 * have not been given another meaning; in READ(10) and its kin, FORMAT UNIT and WRITE SAME they ask
 * for protection information.
 */
#include "handler/scsi-private.h"

#define NONE SCSI_NO_ACTION
#define ALWAYS SCSI_ALWAYS
#define WRITES SCSI_WRITES
#define IN SCSI_DATA_IN
#define KERNEL SCSI_KERNEL
#define LUN SCSI_LUN

/* Consecutive bytes. */
#define X2 0xff, 0xff
#define X4 X2, X2
#define X8 X4, X4
#define O2 0, 0
#define O4 O2, O2
#define O8 O4, O4

/* clang-format off */
const ScsiRow scsi_table[] = {
	/* TEST UNIT READY */
	{0x00, NONE, LUN, 10, scsi_nothing,
	 {0x00, O4}},
	/* REQUEST SENSE */
	{0x03, NONE, ALWAYS | IN | LUN, 10, scsi_request_sense,
	 {0x03, 0x01, O2, 0xff}},
	/* FORMAT UNIT */
	{0x04, NONE, WRITES, 120, scsi_format,
	 {0x04, 0xff, O2, 0}},
	/* READ(6) */
	{0x08, NONE, LUN, 30, scsi_read_write,
	 {0x08, 0x1f, X2, 0xff}},
	/* WRITE(6) */
	{0x0a, NONE, WRITES | LUN, 30, scsi_read_write,
	 {0x0a, 0x1f, X2, 0xff}},
	/* INQUIRY */
	{0x12, NONE, ALWAYS | IN | LUN, 10, scsi_inquiry,
	 {0x12, 0x01, X2, 0xff}},
	/* MODE SELECT(6) */
	{0x15, NONE, LUN, 10, scsi_mode_select,
	 {0x15, 0x11, O2, 0xff}},
	/* RESERVE(6) */
	{0x16, NONE, KERNEL, 10, scsi_leave,
	 {0x16, O4}},
	/* RELEASE(6) */
	{0x17, NONE, KERNEL, 10, scsi_leave,
	 {0x17, O4}},
	/* MODE SENSE(6) */
	{0x1a, NONE, IN | LUN, 10, scsi_mode_sense,
	 {0x1a, 0x08, X2, 0xff}},
	/* START STOP UNIT */
	{0x1b, NONE, LUN, 10, scsi_start_stop,
	 {0x1b, 0x01, 0, 0x0f, 0xf7}},
	/* SEND DIAGNOSTIC */
	{0x1d, NONE, LUN, 10, scsi_send_diagnostic,
	 {0x1d, 0x04, O2, 0}},
	/* READ CAPACITY(10) */
	{0x25, NONE, IN | LUN, 10, scsi_read_capacity_10,
	 {0x25, O8}},
	/* READ(10) */
	{0x28, NONE, 0, 30, scsi_read_write,
	 {0x28, 0xfa, X4, 0x3f, X2}},
	/* WRITE(10) */
	{0x2a, NONE, WRITES, 30, scsi_read_write,
	 {0x2a, 0xfa, X4, 0x3f, X2}},
	/* WRITE AND VERIFY(10) */
	{0x2e, NONE, WRITES, 60, scsi_write_verify,
	 {0x2e, 0xf6, X4, 0x3f, X2}},
	/* VERIFY(10) */
	{0x2f, NONE, 0, 30, scsi_verify,
	 {0x2f, 0xf6, X4, 0x3f, X2}},
	/* PRE-FETCH(10) */
	{0x34, NONE, LUN, 10, scsi_prefetch,
	 {0x34, 0x02, X4, 0x3f, X2}},
	/* SYNCHRONIZE CACHE(10) */
	{0x35, NONE, LUN, 60, scsi_synchronize,
	 {0x35, 0x02, X4, 0x3f, X2}},
	/* READ DEFECT DATA(10) */
	{0x37, NONE, IN | LUN, 10, scsi_defects_10,
	 {0x37, 0, 0x1f, O4, X2}},
	/* WRITE SAME(10) */
	{0x41, NONE, WRITES, 60, scsi_write_same,
	 {0x41, 0xf8, X4, 0x3f, X2}},
	/* UNMAP */
	{0x42, NONE, WRITES, 60, scsi_unmap,
	 {0x42, 0x01, O4, 0x3f, X2}},
	/* SANITIZE: overwrite */
	{0x48, 0x01, WRITES, 65535, scsi_sanitize,
	 {0x48, 0xa0, O4, 0, X2}},
	/* SANITIZE: block erase */
	{0x48, 0x02, WRITES, 600, scsi_sanitize,
	 {0x48, 0xa0, O4, 0, X2}},
	/* SANITIZE: cryptographic erase */
	{0x48, 0x03, WRITES, 600, scsi_sanitize,
	 {0x48, 0xa0, O4, 0, X2}},
	/* SANITIZE: exit failure mode */
	{0x48, 0x1f, 0, 600, scsi_sanitize_exit,
	 {0x48, O4, O2, X2}},
	/* LOG SENSE */
	{0x4d, NONE, IN | LUN, 10, scsi_log_sense,
	 {0x4d, 0, X2, 0, X4}},
	/* MODE SELECT(10) */
	{0x55, NONE, LUN, 10, scsi_mode_select,
	 {0x55, 0x11, O4, 0, X2}},
	/* RESERVE(10) */
	{0x56, NONE, KERNEL, 10, scsi_leave,
	 {0x56, O4, O2, X2}},
	/* RELEASE(10) */
	{0x57, NONE, KERNEL, 10, scsi_leave,
	 {0x57, O4, O2, X2}},
	/* MODE SENSE(10) */
	{0x5a, NONE, IN | LUN, 10, scsi_mode_sense,
	 {0x5a, 0x18, X2, O2, 0, X2}},
	/* PERSISTENT RESERVE IN */
	{0x5e, 0x00, KERNEL, 10, scsi_leave,
	 {0x5e, O4, O2, X2}},
	{0x5e, 0x01, KERNEL, 10, scsi_leave,
	 {0x5e, O4, O2, X2}},
	{0x5e, 0x02, KERNEL, 10, scsi_leave,
	 {0x5e, O4, O2, X2}},
	{0x5e, 0x03, KERNEL, 10, scsi_leave,
	 {0x5e, O4, O2, X2}},
	/* PERSISTENT RESERVE OUT */
	{0x5f, 0x00, KERNEL, 10, scsi_leave,
	 {0x5f, 0, 0xff, O2, X4}},
	{0x5f, 0x01, KERNEL, 10, scsi_leave,
	 {0x5f, 0, 0xff, O2, X4}},
	{0x5f, 0x02, KERNEL, 10, scsi_leave,
	 {0x5f, 0, 0xff, O2, X4}},
	{0x5f, 0x03, KERNEL, 10, scsi_leave,
	 {0x5f, 0, 0xff, O2, X4}},
	{0x5f, 0x04, KERNEL, 10, scsi_leave,
	 {0x5f, 0, 0xff, O2, X4}},
	{0x5f, 0x05, KERNEL, 10, scsi_leave,
	 {0x5f, 0, 0xff, O2, X4}},
	{0x5f, 0x06, KERNEL, 10, scsi_leave,
	 {0x5f, 0, 0xff, O2, X4}},
	{0x5f, 0x07, KERNEL, 10, scsi_leave,
	 {0x5f, 0, 0xff, O2, X4}},
	/* EXTENDED COPY(LID1) */
	{0x83, 0x00, WRITES, 60, scsi_extended_copy,
	 {0x83, O8, 0, X4, 0}},
	/* RECEIVE COPY RESULTS: copy status */
	{0x84, 0x00, IN, 10, scsi_copy_status,
	 {0x84, 0, 0xff, O4, O2, 0, X4, 0}},
	/* RECEIVE COPY RESULTS: operating parameters */
	{0x84, 0x03, IN, 10, scsi_copy_parameters,
	 {0x84, O8, 0, X4, 0}},
	/* READ(16) */
	{0x88, NONE, 0, 30, scsi_read_write,
	 {0x88, 0xfa, X8, X4, 0x3f}},
	/* COMPARE AND WRITE */
	{0x89, NONE, WRITES, 30, scsi_compare_and_write,
	 {0x89, 0xfa, X8, O2, 0, 0xff, 0x3f}},
	/* WRITE(16) */
	{0x8a, NONE, WRITES, 30, scsi_read_write,
	 {0x8a, 0xfa, X8, X4, 0x3f}},
	/* ORWRITE(16) */
	{0x8b, NONE, WRITES, 30, scsi_or_write,
	 {0x8b, 0xfa, X8, X4, 0x3f}},
	/* WRITE AND VERIFY(16) */
	{0x8e, NONE, WRITES, 60, scsi_write_verify,
	 {0x8e, 0xf6, X8, X4, 0x3f}},
	/* VERIFY(16) */
	{0x8f, NONE, 0, 30, scsi_verify,
	 {0x8f, 0xf6, X8, X4, 0x3f}},
	/* PRE-FETCH(16) */
	{0x90, NONE, 0, 10, scsi_prefetch,
	 {0x90, 0x02, X8, X4, 0x3f}},
	/* SYNCHRONIZE CACHE(16) */
	{0x91, NONE, 0, 60, scsi_synchronize,
	 {0x91, 0x02, X8, X4, 0x3f}},
	/* WRITE SAME(16) */
	{0x93, NONE, WRITES, 60, scsi_write_same,
	 {0x93, 0xf9, X8, X4, 0x3f}},
	/* WRITE ATOMIC(16) */
	{0x9c, NONE, WRITES, 30, scsi_write_atomic,
	 {0x9c, 0xfa, X8, O2, X2, 0x3f}},
	/* READ CAPACITY(16) */
	{0x9e, 0x10, IN, 10, scsi_read_capacity_16,
	 {0x9e, O8, 0, X4, 0}},
	/* GET LBA STATUS */
	{0x9e, 0x12, IN, 30, scsi_lba_status,
	 {0x9e, 0, X8, X4, 0}},
	/* REPORT LUNS */
	{0xa0, NONE, KERNEL, 10, scsi_leave,
	 {0xa0, 0, 0xff, O2, 0, X4, 0}},
	/* REPORT TARGET PORT GROUPS */
	{0xa3, 0x0a, ALWAYS | IN, 10, scsi_report_groups,
	 {0xa3, 0xe0, O4, X4, 0}},
	/* REPORT SUPPORTED OPERATION CODES */
	{0xa3, 0x0c, ALWAYS | IN, 10, scsi_report_opcodes,
	 {0xa3, 0, 0x87, X4, X2, 0xff, 0}},
	/* REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS */
	{0xa3, 0x0d, ALWAYS | IN, 10, scsi_report_functions,
	 {0xa3, 0, 0x80, O2, 0, X4, 0}},
	/* READ(12) */
	{0xa8, NONE, 0, 30, scsi_read_write,
	 {0xa8, 0xfa, X8, 0x3f}},
	/* WRITE(12) */
	{0xaa, NONE, WRITES, 30, scsi_read_write,
	 {0xaa, 0xfa, X8, 0x3f}},
	/* WRITE AND VERIFY(12) */
	{0xae, NONE, WRITES, 60, scsi_write_verify,
	 {0xae, 0xf6, X8, 0x3f}},
	/* VERIFY(12) */
	{0xaf, NONE, 0, 30, scsi_verify,
	 {0xaf, 0xf6, X8, 0x3f}},
	/* READ DEFECT DATA(12) */
	{0xb7, NONE, IN | LUN, 10, scsi_defects_12,
	 {0xb7, 0x1f, X8, 0}},
};
/* clang-format on */

const guint scsi_table_length = G_N_ELEMENTS(scsi_table);
