/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands on a volume of 8 MiB in memory: their CDBs, data and answers.
 */
#include "common/base/bytes.h"
#include "common/base/units.h"
#include "handler/scsi-private.h"
#include "tests/handler/scsi-disk.h"
#include "tests/harness.h"

#define LEFT ((guint)RUNNER_NOT_HANDLED << 24)
#define OUT_OF_RANGE 0x52100
#define INVALID_FIELD 0x52400
#define INVALID_OPCODE 0x52000
#define INVALID_LIST 0x52600
#define LIST_LENGTH 0x51a00
#define MISCOMPARE 0xe1d00

/* Blocks are 512 bytes; the last has LBA 3fffh. */
static const struct {
	const char *name;
	guint8 cdb[16];
	gsize length;
	guint answer;
} answers[] = {
	{"TEST UNIT READY", {0x00}, 0, 0},
	{"a reserved bit", {0x00, 0x01}, 0, INVALID_FIELD},
	{"NACA", {0x00, [5] = 0x04}, 0, INVALID_FIELD},
	{"an unknown command", {0xc0}, 0, INVALID_OPCODE},
	{"an unknown service action", {0x9e, 0x11}, 0, INVALID_FIELD},
	{"READ(6)", {0x08, 0, 0, 0, 1}, 512, LEFT},
	{"READ(6) of 256 blocks", {0x08}, 256 * 512, LEFT},
	{"READ(6) of too much", {0x08, 0, 0x3f, 0xff, 2}, 1024, OUT_OF_RANGE},
	{"READ(10)", {0x28, [8] = 1}, 512, LEFT},
	{"READ(10) of nothing", {0x28}, 0, 0},
	{"READ(10) of nothing, behind the end", {0x28, [4] = 0x40, [5] = 1}, 0, OUT_OF_RANGE},
	{"READ(10) of the last block", {0x28, [4] = 0x3f, [5] = 0xff, [8] = 1}, 512, LEFT},
	{"READ(10) behind the end", {0x28, [4] = 0x40, [8] = 1}, 512, OUT_OF_RANGE},
	{"READ(10) with RDPROTECT", {0x28, 0x20, [8] = 1}, 512, INVALID_FIELD},
	{"READ(10) with FUA", {0x28, 0x08, [8] = 1}, 512, 0},
	{"READ(10) with too little room", {0x28, [8] = 2}, 512, INVALID_FIELD},
	{"READ(10) with too much room", {0x28, [8] = 1}, 1024, INVALID_FIELD},
	{"READ(16) far away", {0x88, 0, 0x80, [13] = 1}, 512, OUT_OF_RANGE},
	{"READ(16) whose end overflows",
	 {0x88, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, [13] = 1},
	 512,
	 OUT_OF_RANGE},
	{"WRITE(12)", {0xaa, [9] = 1}, 512, LEFT},
	{"WRITE(16) with FUA", {0x8a, 0x08, [13] = 1}, 512, 0},
	{"WRITE(16) with WRPROTECT", {0x8a, 0x20, [13] = 1}, 512, INVALID_FIELD},
	{"WRITE ATOMIC", {0x9c, [13] = 8}, 4096, 0},
	{"WRITE ATOMIC of nothing", {0x9c}, 0, 0},
	{"WRITE ATOMIC of a part of a physical block", {0x9c, [13] = 4}, 2048, INVALID_FIELD},
	{"WRITE ATOMIC across physical blocks", {0x9c, [9] = 4, [13] = 8}, 4096, INVALID_FIELD},
	{"WRITE ATOMIC with a boundary", {0x9c, [11] = 8, [13] = 8}, 4096, INVALID_FIELD},
	{"WRITE AND VERIFY(10)", {0x2e, [8] = 1}, 512, 0},
	{"WRITE AND VERIFY(12), BYTCHK 1", {0xae, 0x02, [9] = 1}, 512, 0},
	{"WRITE AND VERIFY(16), BYTCHK 3", {0x8e, 0x06, [13] = 1}, 512, INVALID_FIELD},
	{"VERIFY(10)", {0x2f, [8] = 9}, 0, 0},
	{"VERIFY(10), with data for nothing", {0x2f, [8] = 1}, 512, INVALID_FIELD},
	{"VERIFY(12), BYTCHK 2", {0xaf, 0x04, [9] = 1}, 512, INVALID_FIELD},
	{"VERIFY(16) with VRPROTECT", {0x8f, 0x40, [13] = 1}, 0, INVALID_FIELD},
	{"COMPARE AND WRITE of nothing", {0x89}, 0, 0},
	{"COMPARE AND WRITE of nothing, with data", {0x89}, 1024, INVALID_FIELD},
	{"COMPARE AND WRITE, half the data", {0x89, [13] = 1}, 512, INVALID_FIELD},
	{"ORWRITE behind the end", {0x8b, [8] = 0x40, [13] = 1}, 512, OUT_OF_RANGE},
	{"PRE-FETCH(10)", {0x34, 0x02, [8] = 1}, 0, 0},
	{"PRE-FETCH(16) behind the end", {0x90, [8] = 0x40, [13] = 1}, 0, OUT_OF_RANGE},
	{"SYNCHRONIZE CACHE(10)", {0x35}, 0, 0},
	{"SYNCHRONIZE CACHE(16) behind the end", {0x91, [8] = 0x40, [13] = 1}, 0, OUT_OF_RANGE},
	{"WRITE SAME(10)", {0x41, [8] = 8}, 512, 0},
	{"WRITE SAME(10) without a block", {0x41, [8] = 8}, 0, INVALID_FIELD},
	{"WRITE SAME(10) with two", {0x41, [8] = 8}, 1024, INVALID_FIELD},
	{"WRITE SAME(10) with ANCHOR", {0x41, 0x18, [8] = 8}, 512, INVALID_FIELD},
	{"WRITE SAME(16) without data", {0x93, 0x01, [13] = 8}, 0, 0},
	{"WRITE SAME(16) without data, with it", {0x93, 0x01, [13] = 8}, 512, INVALID_FIELD},
	{"WRITE SAME(16) of too much", {0x93, 0x00, [10] = 1}, 512, OUT_OF_RANGE},
	{"UNMAP without a list", {0x42}, 0, 0},
	{"UNMAP with a cut header", {0x42, [8] = 7}, 7, LIST_LENGTH},
	{"UNMAP, less than it says", {0x42, [8] = 24}, 8, LIST_LENGTH},
	{"UNMAP with ANCHOR", {0x42, 0x01, [8] = 8}, 8, INVALID_FIELD},
	{"FORMAT UNIT", {0x04}, 0, 0},
	{"FORMAT UNIT with protection", {0x04, 0x80}, 0, INVALID_FIELD},
	{"INQUIRY of a page without EVPD", {0x12, 0, 0x80, 0, 96}, 96, INVALID_FIELD},
	{"INQUIRY of an unknown page", {0x12, 1, 0xb9, 0, 96}, 96, INVALID_FIELD},
	{"INQUIRY of designators", {0x12, 1, 0x83, 0, 96}, 96, 0},
	{"MODE SENSE of saved values", {0x1a, 0, 0xc8, 0, 96}, 96, 0x53900},
	{"MODE SENSE of an unknown page", {0x1a, 0, 0x07, 0, 96}, 96, INVALID_FIELD},
	{"MODE SELECT that saves", {0x15, 0x11}, 0, INVALID_FIELD},
	{"START STOP UNIT: start", {0x1b, [4] = 1}, 0, 0},
	{"START STOP UNIT: eject", {0x1b, [4] = 2}, 0, INVALID_FIELD},
	{"PREVENT ALLOW MEDIUM REMOVAL", {0x1e, [4] = 1}, 0, INVALID_OPCODE},
	{"GET LBA STATUS behind the end", {0x9e, 0x12, [8] = 0x40, [13] = 24}, 24, OUT_OF_RANGE},
	{"REPORT TARGET PORT GROUPS", {0xa3, 0x0a, [9] = 64}, 64, 0},
	{"LOG SENSE of an unknown page", {0x4d, 0, 0x42, [8] = 64}, 64, INVALID_FIELD},
	{"EXTENDED COPY of nothing", {0x83}, 0, 0},
	{"EXTENDED COPY with a cut header", {0x83, [13] = 8}, 8, LIST_LENGTH},
	{"RECEIVE COPY RESULTS of no copy", {0x84, 0x00, 7, [13] = 12}, 12, INVALID_FIELD},
	{"SANITIZE: exit failure mode", {0x48, 0x1f}, 0, 0},
	{"SANITIZE: with a list where none is", {0x48, 0x02, [8] = 8}, 8, INVALID_FIELD},
	{"SANITIZE: unknown", {0x48, 0x04}, 0, INVALID_FIELD},
};

static void test_answers(const void *data)
{
	ScsiDisk *disk = scsi_disk_new(512);

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(answers); i++) {
		test_row("%s", answers[i].name);
		memset(disk->data, 0, sizeof disk->data);
		CHECK_UINT(scsi_disk_send(disk, answers[i].cdb, answers[i].length),
			   answers[i].answer);
	}
	scsi_disk_free(disk);
}

/* ---- answers */

static const struct {
	const char *name;
	guint8 cdb[16];
	guint at;    /* a byte of the answer */
	guint bytes; /* of the field there */
	guint64 value;
} fields[] = {
	{"INQUIRY: version", {0x12, [4] = 96}, 2, 1, 6},
	{"INQUIRY: third-party copy, ALUA", {0x12, [4] = 96}, 5, 1, 0x18},
	{"INQUIRY: SBC-3", {0x12, [4] = 96}, 62, 2, 0x04c0},
	{"INQUIRY: serial", {0x12, 1, 0x80, 0, 96}, 2, 2, sizeof SCSI_DISK_SERIAL - 1},
	{"limits: compare and write", {0x12, 1, 0xb0, 0, 64}, 5, 1, 255},
	{"limits: transfer", {0x12, 1, 0xb0, 0, 64}, 8, 4, 2048},
	{"limits: unmap", {0x12, 1, 0xb0, 0, 64}, 20, 4, G_MAXUINT32},
	{"limits: unmap descriptors", {0x12, 1, 0xb0, 0, 64}, 24, 4, 256},
	{"limits: granularity", {0x12, 1, 0xb0, 0, 64}, 28, 4, 8},
	{"limits: write same", {0x12, 1, 0xb0, 0, 64}, 36, 8, 131072},
	{"limits: atomic", {0x12, 1, 0xb0, 0, 64}, 44, 4, 2048},
	{"limits: atomic alignment", {0x12, 1, 0xb0, 0, 64}, 48, 4, 8},
	{"does not rotate", {0x12, 1, 0xb1, 0, 64}, 4, 2, 1},
	{"thin: all three ways, zeros", {0x12, 1, 0xb2, 0, 64}, 5, 1, 0xe4},
	{"thin: the threshold's sets", {0x12, 1, 0xb2, 0, 64}, 4, 1, 11},
	{"READ CAPACITY(10)", {0x25}, 0, 8, (guint64)0x3fff << 32 | 512},
	{"READ CAPACITY(16)", {0x9e, 0x10, [13] = 32}, 0, 8, 0x3fff},
	{"READ CAPACITY(16): 4 KiB physical", {0x9e, 0x10, [13] = 32}, 13, 1, 3},
	{"READ CAPACITY(16): thin", {0x9e, 0x10, [13] = 32}, 14, 1, 0xc0},
	{"MODE SENSE(6): DPOFUA", {0x1a, 0, 0x08, 0, 64}, 2, 1, 0x10},
	{"MODE SENSE(6): WCE", {0x1a, 0x08, 0x08, 0, 64}, 6, 1, 0x04},
	{"MODE SENSE(6): WCE stays", {0x1a, 0x08, 0x48, 0, 64}, 6, 1, 0},
	{"MODE SENSE(6): SWP can be changed", {0x1a, 0x08, 0x4a, 0, 64}, 8, 1, 0x08},
	{"MODE SENSE(10): long descriptor", {0x5a, 0x10, 0x08, [8] = 64}, 8, 8, 0x4000},
	{"LOG SENSE: pages", {0x4d, 0, 0x40, [8] = 64}, 4, 3, 0x000c2f},
	{"LOG SENSE: available", {0x4d, 0, 0x4c, [8] = 64}, 8, 4, 300},
	{"LOG SENSE: used", {0x4d, 0, 0x4c, [8] = 64}, 20, 4, 100},
	{"REQUEST SENSE", {0x03, [4] = 18}, 2, 1, 0},
	{"REQUEST SENSE with descriptors", {0x03, 0x01, [4] = 18}, 0, 1, 0x72},
	{"READ DEFECT DATA(10): none", {0x37, 0, 0x1d, [8] = 4}, 0, 4, 0x001d0000},
	{"READ DEFECT DATA(12): none", {0xb7, 0x1d, [9] = 8}, 0, 8, (guint64)0x001d0000 << 32},
	{"opcodes: READ(10)", {0xa3, 0x0c, 0x01, 0x28, [9] = 64}, 0, 8, 0x0003000a28faffff},
	{"opcodes: none", {0xa3, 0x0c, 0x01, 0xc0, [9] = 64}, 0, 4, 0x00010000},
	{"opcodes: an action", {0xa3, 0x0c, 0x02, 0x9e, 0, 0x12, [9] = 64}, 0, 6, 0x000300109e12},
	{"opcodes: times", {0xa3, 0x0c, 0x81, 0x28, [9] = 64}, 14, 2, 10},
	{"operating parameters", {0x84, 0x03, [13] = 64}, 8, 4, 0x00020010},
};

static void test_fields(const void *data)
{
	ScsiDisk *disk = scsi_disk_new(512);

	(void)data;
	disk->space = (ScsiSpace){.available = 300 * MIB, .used = 100 * MIB};
	for (guint i = 0; i < G_N_ELEMENTS(fields); i++) {
		test_row("%s", fields[i].name);
		memset(disk->data, 0xee, sizeof disk->data);
		CHECK_UINT(scsi_disk_send(disk, fields[i].cdb, 96), 0);
		CHECK_UINT(get_be(disk->data + fields[i].at, fields[i].bytes), fields[i].value);
	}
	scsi_disk_free(disk);
}

/* No byte of a buffer stays as it was, and none is written beyond the allocation length but zeros.
 */
static void test_truncation(const void *data)
{
	static const guint8 inquiry[16] = {0x12, [4] = 9};
	ScsiDisk *disk = scsi_disk_new(4096);

	(void)data;
	memset(disk->data, 0xee, sizeof disk->data);
	CHECK_UINT(scsi_disk_send(disk, inquiry, 200), 0);
	CHECK_UINT(disk->data[8], SCSI_VENDOR[0]);
	CHECK_ZERO(disk->data + 9, 200 - 9);
	CHECK_UINT(disk->data[200], 0xee);
	scsi_disk_free(disk);
}

/* Initiators that read on behind the answer find its pages again, the last at the end. */
static void test_mode_padding(const void *data)
{
	static const guint8 sense[16] = {0x1a, 0x08, 0x0a, 0, 45};
	ScsiDisk *disk = scsi_disk_new(512);

	(void)data;
	memset(disk->data, 0xee, sizeof disk->data);
	CHECK_UINT(scsi_disk_send(disk, sense, 64), 0);
	CHECK_UINT(disk->data[0], 15);
	CHECK_UINT(get_be(disk->data + 16, 2), 3); /* five bytes of no meaning */
	CHECK_MEM(disk->data + 21, disk->data + 4, 12);
	CHECK_MEM(disk->data + 33, disk->data + 4, 12);
	CHECK_ZERO(disk->data + 45, 64 - 45);
	scsi_disk_free(disk);
}

/* Each command in the list of all is reported singly, too. */
static void test_opcodes(const void *data)
{
	static const guint8 all[16] = {0xa3, 0x0c, 0x80, [6] = 0, 0, 0xff, 0xff};
	ScsiDisk *disk = scsi_disk_new(512);
	g_autofree guint8 *list = g_malloc(4096);
	guint n;

	(void)data;
	CHECK_UINT(scsi_disk_send(disk, all, 4096), 0);
	memcpy(list, disk->data, 4096);
	n = (guint)get_be(list, 4) / 20;
	CHECK(n > 60);
	for (guint i = 0; i < n; i++) {
		const guint8 *row = list + 4 + 20 * i;
		guint8 one[16] = {0xa3, 0x0c, row[5] & 1 ? 2 : 1, row[0], row[2], row[3], [9] = 64};

		test_row("opcode %02x", row[0]);
		CHECK(i == 0 || row[0] >= row[-20]);
		CHECK_UINT(row[5] & 2, 2);
		CHECK_UINT(scsi_disk_send(disk, one, 64), 0);
		CHECK_UINT(get_be(disk->data, 4), 0x00030000 | get_be(row + 6, 2));
		CHECK_UINT(disk->data[4], row[0]);
	}
	scsi_disk_free(disk);
}

/* ---- effects */

static void fill(ScsiDisk *disk, guint64 offset, guint64 length, guint8 value)
{
	g_autofree guint8 *memory = g_malloc(length);
	struct iovec iov = {memory, length};

	memset(memory, value, length);
	CHECK_INT(volume_write(disk->volume, &iov, 1, offset, NULL), 0);
}

static gboolean holds(ScsiDisk *disk, guint64 offset, guint64 length, guint8 value)
{
	g_autofree guint8 *memory = g_malloc(length);
	struct iovec iov = {memory, length};

	CHECK_INT(volume_read(disk->volume, &iov, 1, offset, NULL), 0);
	for (guint64 i = 0; i < length; i++)
		if (memory[i] != value)
			return FALSE;
	return TRUE;
}

static void test_compare_and_write(const void *data)
{
	static const guint8 cdb[16] = {0x89, [9] = 3, [13] = 255};
	ScsiDisk *disk = scsi_disk_new(512);
	gsize half = 255 * 512;

	(void)data;
	fill(disk, 0, MIB, 'a');
	memset(disk->data, 'a', half);
	memset(disk->data + half, 'b', half);
	CHECK_UINT(scsi_disk_send(disk, cdb, 2 * half), 0);
	CHECK(holds(disk, 0, 3 * 512, 'a'));
	CHECK(holds(disk, 3 * 512, half, 'b'));
	CHECK(holds(disk, 3 * 512 + half, 4096, 'a'));
	memset(disk->data, 'b', half);
	disk->data[70000] = 'c';
	CHECK_UINT(scsi_disk_send(disk, cdb, 2 * half), MISCOMPARE);
	CHECK_UINT(get_be(disk->sense + 3, 4), 70000);
	scsi_disk_free(disk);
}

static void test_verify(const void *data)
{
	static const guint8 all[16] = {0x8f, 0x02, [9] = 2, [13] = 200};
	static const guint8 one[16] = {0x2f, 0x06, [5] = 2, [7] = 0x10};
	ScsiDisk *disk = scsi_disk_new(512);

	(void)data;
	fill(disk, 0, 4 * MIB, 'a');
	memset(disk->data, 'a', 200 * 512);
	CHECK_UINT(scsi_disk_send(disk, all, 200 * 512), 0);
	disk->data[99999] = 'b';
	CHECK_UINT(scsi_disk_send(disk, all, 200 * 512), MISCOMPARE);
	CHECK_UINT(get_be(disk->sense + 3, 4), 99999);
	CHECK_UINT(scsi_disk_send(disk, one, 512), 0);
	fill(disk, MIB, 512, 'b');
	CHECK_UINT(scsi_disk_send(disk, one, 512), MISCOMPARE);
	CHECK_UINT(get_be(disk->sense + 3, 4), MIB - 1024);
	scsi_disk_free(disk);
}

static void test_or_write(const void *data)
{
	static const guint8 cdb[16] = {0x8b, [9] = 1, [13] = 100};
	ScsiDisk *disk = scsi_disk_new(512);

	(void)data;
	fill(disk, 0, 128 * KIB, 0x11);
	memset(disk->data, 0x81, 100 * 512);
	CHECK_UINT(scsi_disk_send(disk, cdb, 100 * 512), 0);
	CHECK(holds(disk, 0, 512, 0x11));
	CHECK(holds(disk, 512, 100 * 512, 0x91));
	CHECK(holds(disk, 101 * 512, 512, 0x11));
	scsi_disk_free(disk);
}

static void test_write_same(const void *data)
{
	static const guint8 rest[16] = {0x41, [4] = 0x3f, [5] = 0x01};
	static const guint8 pattern[16] = {0x93, 0x08, [9] = 1, [13] = 16};
	static const guint8 nothing[16] = {0x93, 0x01, [9] = 3, [13] = 3};
	ScsiDisk *disk = scsi_disk_new(512);

	(void)data;
	fill(disk, SCSI_DISK_SIZE - MIB, MIB, 'a');
	memset(disk->data, 'b', 512);
	CHECK_UINT(scsi_disk_send(disk, rest, 512), 0);
	CHECK(holds(disk, SCSI_DISK_SIZE - 256 * 512, 512, 'a'));
	CHECK(holds(disk, SCSI_DISK_SIZE - 255 * 512, 255 * 512, 'b'));
	disk->patience = -1;
	CHECK_UINT(scsi_disk_send(disk, pattern, 512), (guint)RUNNER_BUSY << 24);
	disk->patience = 60 * G_USEC_PER_SEC;
	CHECK_UINT(scsi_disk_send(disk, pattern, 512), 0); /* UNMAP does not change what is read */
	CHECK(holds(disk, 512, 16 * 512, 'b'));
	CHECK_UINT(scsi_disk_send(disk, nothing, 0), 0);
	CHECK(holds(disk, 512, 2 * 512, 'b'));
	CHECK(holds(disk, 3 * 512, 3 * 512, 0));
	CHECK(holds(disk, 6 * 512, 11 * 512, 'b'));
	scsi_disk_free(disk);
}

static void test_lba_status(const void *data)
{
	static const guint8 cdb[16] = {0x9e, 0x12, [9] = 0x01, [13] = 8 + 4 * 16};
	static const struct {
		guint64 lba;
		guint32 blocks;
		guint8 state;
	} wanted[] = {{1, 15, 1}, {16, 16, 0}, {32, 2016, 1}, {2048, 2048, 0}};
	ScsiDisk *disk = scsi_disk_new(512);

	(void)data;
	fill(disk, 17 * 512, 12 * 512, 'a'); /* blocks of 4 KiB are mapped */
	fill(disk, MIB, MIB, 'a');
	CHECK_UINT(scsi_disk_send(disk, cdb, 8 + 4 * 16), 0);
	CHECK_UINT(get_be(disk->data, 4), 4 + 4 * 16);
	for (guint i = 0; i < G_N_ELEMENTS(wanted); i++) {
		const guint8 *at = disk->data + 8 + 16 * i;

		test_row("descriptor %u", i);
		CHECK_UINT(get_be(at, 8), wanted[i].lba);
		CHECK_UINT(get_be(at + 8, 4), wanted[i].blocks);
		CHECK_UINT(at[12], wanted[i].state);
	}
	scsi_disk_free(disk);
}

static void test_write_protection(const void *data)
{
	static const guint8 select[16] = {0x15, 0x10, [4] = 16}, write[16] = {0x2a, [8] = 1},
			    read[16] = {0x28, [8] = 1}, sense[16] = {0x1a, 0x08, 0x0a, 0, 64};
	guint8 list[16] = {[4] = 0x0a, 0x0a, 0x02, 0x10, 0x08, 0x40, 0, 0, 0xff, 0xff};
	ScsiDisk *disk = scsi_disk_new(512);

	(void)data;
	memcpy(disk->data, list, sizeof list);
	CHECK_UINT(scsi_disk_send(disk, select, sizeof list), 0);
	CHECK_UINT(scsi_disk_send(disk, write, 512), 0x72702);
	CHECK_UINT(scsi_disk_send(disk, read, 512), LEFT);
	CHECK_UINT(scsi_disk_send(disk, sense, 64), 0);
	CHECK_UINT(disk->data[2], 0x90);
	CHECK_UINT(disk->data[8], 0x08);
	list[6] = 0x03; /* what cannot be changed */
	memcpy(disk->data, list, sizeof list);
	CHECK_UINT(scsi_disk_send(disk, select, sizeof list), INVALID_LIST);
	list[6] = 0x02;
	list[8] = 0;
	memcpy(disk->data, list, sizeof list);
	CHECK_UINT(scsi_disk_send(disk, select, sizeof list), 0);
	CHECK_UINT(scsi_disk_send(disk, write, 512), LEFT);
	scsi_disk_free(disk);
}

/* All commands that may write, whatever is in them. */
static void test_read_only(const void *data)
{
	static const guint8 sense[16] = {0x1a, 0x08, 0x0a, 0, 64}, read[16] = {0x28, [8] = 1},
			    flush[16] = {0x35};
	const guint8 list[16] = {[4] = 0x0a, 0x0a, 0x02, 0x10, 0x00, 0x40, 0, 0, 0xff, 0xff},
		     select[16] = {0x15, 0x10, [4] = 16};
	ScsiDisk *disk = scsi_disk_new(512);
	guint writes = 0;

	(void)data;
	disk->unit.read_only = TRUE;
	memcpy(disk->data, list, sizeof list);
	CHECK_UINT(scsi_disk_send(disk, select, sizeof list),
		   0); /* SWP is off, and that changes nothing */
	for (guint i = 0; i < scsi_table_length; i++) {
		const ScsiRow *row = &scsi_table[i];
		guint8 cdb[16] = {row->opcode};

		if (!(row->flags & SCSI_WRITES))
			continue;
		if (row->action != SCSI_NO_ACTION)
			cdb[1] = (guint8)row->action;
		test_row("opcode %02x", row->opcode);
		CHECK_UINT(scsi_disk_send(disk, cdb, 512), 0x72700);
		writes++;
	}
	CHECK(writes > 15);
	CHECK_UINT(scsi_disk_send(disk, read, 512), LEFT);
	CHECK_UINT(scsi_disk_send(disk, flush, 0), 0);
	CHECK_UINT(scsi_disk_send(disk, sense, 64), 0);
	CHECK_UINT(disk->data[2], 0x90); /* WP and DPOFUA */
	CHECK_UINT(disk->data[8], 0);	 /* no SWP */
	scsi_disk_free(disk);
}

static void test_threshold(const void *data)
{
	static const guint8 ready[16] = {0}, inquiry[16] = {0x12, [4] = 36};
	const ScsiSpace enough = {.available = 100 * GIB, .used = GIB};
	const ScsiSpace little = {.available = 5 * GIB, .used = 96 * GIB};
	ScsiDisk *disk = scsi_disk_new(512);

	(void)data;
	for (guint i = 0; i < 2; i++) {
		scsi_unit_note_space(&disk->unit, &enough);
		CHECK_UINT(scsi_disk_send(disk, ready, 0), 0);
		scsi_unit_note_space(&disk->unit, &little);
		CHECK_UINT(scsi_disk_send(disk, inquiry, 36), 0); /* is not what is told by */
		CHECK_UINT(scsi_disk_send(disk, ready, 0), 0x63807);
		CHECK_UINT(scsi_disk_send(disk, ready, 0), 0);
		scsi_unit_note_space(&disk->unit, &little);
		CHECK_UINT(scsi_disk_send(disk, ready, 0), 0);
	}
	scsi_disk_free(disk);
}

/* From LBA `from` to LBA `to`, `blocks` of them, as an initiator asks for it. */
static gsize copy_list(guint8 *list, guint64 from, guint64 to, guint blocks)
{
	static const guint8 naa[16] = {0x60, 0x01, 0x40, 0x50, 0x12, 0x34,
				       0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0};
	guint8 *target = list + 16, *segment = target + 32;

	memset(list, 0, 76);
	list[0] = 5;
	list[3] = 32;
	list[11] = 28;
	target[0] = 0xe4;
	target[4] = 1;
	target[5] = 3;
	target[7] = sizeof naa;
	memcpy(target + 8, naa, sizeof naa);
	put_be(target + 29, 512, 3);
	segment[0] = 2;
	segment[3] = 24;
	put_be(segment + 10, blocks, 2);
	put_be(segment + 12, from, 8);
	put_be(segment + 20, to, 8);
	return 76;
}

static void test_extended_copy(const void *data)
{
	static const guint8 copy[16] = {0x83, [13] = 76}, status[16] = {0x84, 0, 5, [13] = 12};
	ScsiDisk *disk = scsi_disk_new(512);

	(void)data;
	fill(disk, 0, 2 * MIB, 'a');
	copy_list(disk->data, 7, 9001, 3000);
	CHECK_UINT(scsi_disk_send(disk, copy, 76), 0);
	CHECK_UINT(request_bytes(&disk->request), 3000 * 512);
	CHECK(holds(disk, 9000 * 512, 512, 0));
	CHECK(holds(disk, 9001 * 512, 3000 * 512, 'a'));
	CHECK(holds(disk, 12001 * 512, 512, 0));
	CHECK_UINT(scsi_disk_send(disk, status, 12), 0);
	CHECK_UINT(get_be(disk->data + 4, 3), 0x010001);
	CHECK_UINT(scsi_disk_send(disk, status, 12), INVALID_FIELD); /* once */
	copy_list(disk->data, 0, 0x3fff, 2);
	CHECK_UINT(scsi_disk_send(disk, copy, 76), 0xa0000);
	copy_list(disk->data, 0, 100, 2);
	disk->data[16 + 8 + 5]++; /* another unit */
	CHECK_UINT(scsi_disk_send(disk, copy, 76), 0xa0d02);
	copy_list(disk->data, 0, 100, 2);
	disk->data[16] = 0xe0;
	CHECK_UINT(scsi_disk_send(disk, copy, 76), 0x52607);
	copy_list(disk->data, 0, 100, 2);
	disk->data[48] = 0x03;
	CHECK_UINT(scsi_disk_send(disk, copy, 76), 0x52609);
	copy_list(disk->data, 0, 100, 2);
	disk->data[11] = 27;
	CHECK_UINT(scsi_disk_send(disk, copy, 76), LIST_LENGTH);
	scsi_disk_free(disk);
}

/* A state of the unit in which only INQUIRY and its kin are answered. */
static void test_sanitizing(const void *data)
{
	static const guint8 ready[16] = {0}, inquiry[16] = {0x12, [4] = 36},
			    sense[16] = {0x03, [4] = 18}, again[16] = {0x48, 0x02},
			    leave[16] = {0x48, 0x1f};
	ScsiDisk *disk = scsi_disk_new(512);

	(void)data;
	g_atomic_int_set(&disk->unit.state, SCSI_SANITIZING);
	g_atomic_int_set(&disk->unit.progress, 0x1234);
	CHECK_UINT(scsi_disk_send(disk, ready, 0), 0x2041b);
	CHECK_UINT(get_be(disk->sense + 15, 3), 0x801234);
	CHECK_UINT(scsi_disk_send(disk, again, 0), 0x2041b);
	CHECK_UINT(scsi_disk_send(disk, inquiry, 36), 0);
	CHECK_UINT(scsi_disk_send(disk, sense, 18), 0);
	CHECK_UINT(get_be(disk->data + 12, 2), 0x041b);
	g_atomic_int_set(&disk->unit.state, SCSI_SANITIZE_FAILED);
	g_atomic_int_set(&disk->unit.exit_restricted, TRUE);
	CHECK_UINT(scsi_disk_send(disk, ready, 0), 0x33103);
	CHECK_UINT(scsi_disk_send(disk, leave, 0), INVALID_FIELD);
	g_atomic_int_set(&disk->unit.exit_restricted, FALSE);
	CHECK_UINT(scsi_disk_send(disk, leave, 0), 0);
	CHECK_UINT(scsi_disk_send(disk, ready, 0), 0);
	scsi_disk_free(disk);
}

int main(int argc, char **argv)
{
	test_add("commands are answered, and refused where they are wrong", test_answers, NULL);
	test_add("what is told of the unit", test_fields, NULL);
	test_add("an answer is cut off, and the rest of the buffer zeroed", test_truncation, NULL);
	test_add("behind the answer to MODE SENSE are its pages again", test_mode_padding, NULL);
	test_add("the list of commands and each command by itself agree", test_opcodes, NULL);
	test_add("COMPARE AND WRITE of as many blocks as there can be", test_compare_and_write,
		 NULL);
	test_add("VERIFY compares, and says where it differs", test_verify, NULL);
	test_add("ORWRITE sets bits", test_or_write, NULL);
	test_add("WRITE SAME to the end, of a pattern, of nothing", test_write_same, NULL);
	test_add("GET LBA STATUS tells what is mapped", test_lba_status, NULL);
	test_add("SWP protects from writes", test_write_protection, NULL);
	test_add("a unit that is read-only refuses all that writes", test_read_only, NULL);
	test_add("little space is told once each time it gets little", test_threshold, NULL);
	test_add("EXTENDED COPY copies inside of the unit", test_extended_copy, NULL);
	test_add("a SANITIZE that runs, and one that failed", test_sanitizing, NULL);
	return test_run(argc, argv);
}
