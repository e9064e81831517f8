/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SCSI commands of any content, as the runner hands them to the plugin, on a volume of 1 MiB,
 * compared with a plain array of the same content.  The input is a list of commands:
 *
 *     16 bytes  CDB
 *     u16       bytes of data, in units of 16
 *     u16       bytes in each piece of memory of the data
 *     u8        bit 0: the address is reduced to the volume and a little beyond
 *               bit 1: the data has the length of the blocks that the CDB names
 *               bit 2: data to be compared is the present content
 *     u8        n, and n bytes, which are repeated: the data or the parameter list
 *
 * A command that succeeds must take full effect, a command that is refused must change nothing, and
 * a command that is clearly valid must not be refused.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/bounds.h"
#include "common/base/bytes.h"
#include "common/service/pool.h"
#include "common/base/units.h"
#include "tests/fuzz/fuzz.h"
#include "tests/harness.h"
#include "tests/runner-host/host.h"

#define SIZE MIB
#define BLOCKS (SIZE / SECTOR_SIZE)
#define HEADER 22
#define COMMANDS 12
#define DATA_MAX ((gsize)G_MAXUINT16 * 16)
#define UNMAP_HEADER 8
#define UNMAP_DESCRIPTOR 16

int handler_init(void);

typedef struct {
	guint8 cdb[16];
	guint8 *data;
	gsize length;
	gsize piece;
} Scsi;

static Dev device;
static guint8 *model, *memory, *whole;
static gboolean write_protected; /* TRUE: it may be */

/* Ends all threads of the plugin before the process ends. */
static void teardown(void)
{
	dev_remove(&device);
}

static void setup(void)
{
	g_autofree char *config = test_path(".conf"), *pool = test_path(".pool");
	g_autofree char *run = test_path(".run"), *state = test_path(".state");
	g_autofree char *text = g_strdup_printf("[storageos]\nrun_directory=%s\n"
						"state_directory=%s\n[pool default]\npath=%s\n",
						run, state, pool);

	g_setenv("STORAGEOS_CONFIG", config, TRUE);
	fuzz_assert(g_file_set_contents(config, text, -1, NULL) &&
		    pool_mark("default", pool, NULL, NULL) && !handler_init());
	device = (Dev){.cfgstring = "storageos/fuzz;create",
		       .num_lbas = SIZE / SECTOR_SIZE,
		       .block_size = SECTOR_SIZE,
		       .max_xfer_len = 128};
	fuzz_assert(!dev_add(&device) && !atexit(teardown));
	model = g_malloc(SIZE);
	whole = g_malloc(SIZE);
	memory = g_malloc0(DATA_MAX + 64);
}

/* ---- the fields of a CDB */

static guint64 address(const guint8 *cdb)
{
	switch (cdb[0] >> 5) {
	case 0:
		return get_be(cdb + 1, 3) & 0x1fffff;
	case 4:
		return get_be(cdb + 2, 8);
	default:
		return get_be(cdb + 2, 4);
	}
}

static void set_address(guint8 *cdb, guint64 lba)
{
	switch (cdb[0] >> 5) {
	case 0:
		put_be(cdb + 1, lba, 3);
		break;
	case 4:
		put_be(cdb + 2, lba, 8);
		break;
	default:
		put_be(cdb + 2, lba, 4);
	}
}

static guint64 count(const guint8 *cdb)
{
	if (cdb[0] == 0x89)
		return cdb[13];
	if (cdb[0] == 0x9c)
		return get_be(cdb + 12, 2);
	switch (cdb[0] >> 5) {
	case 0:
		return cdb[4] ? cdb[4] : 256;
	case 4:
		return get_be(cdb + 10, 4);
	case 5:
		return get_be(cdb + 6, 4);
	default:
		return get_be(cdb + 7, 2);
	}
}

/* The length of the command's data if the data consists of blocks; 0 for other commands. */
static guint64 blocks_of_data(const guint8 *cdb)
{
	switch (cdb[0]) {
	case 0x08: /* READ */
	case 0x28:
	case 0xa8:
	case 0x88:
	case 0x0a: /* WRITE */
	case 0x2a:
	case 0xaa:
	case 0x8a:
	case 0x9c: /* WRITE ATOMIC */
	case 0x2e: /* WRITE AND VERIFY */
	case 0xae:
	case 0x8e:
	case 0x8b: /* ORWRITE */
		return count(cdb);
	case 0x89: /* COMPARE AND WRITE */
		return 2 * count(cdb);
	case 0x41: /* WRITE SAME */
		return 1;
	case 0x93:
		return cdb[1] & 1 ? 0 : 1;
	case 0x2f: /* VERIFY */
	case 0xaf:
	case 0x8f:
		return (cdb[1] & 6) == 2 ? count(cdb) : (cdb[1] & 6) == 6;
	default:
		return 0;
	}
}

/* ---- the effect of a command on the array */

static gboolean is_inside(guint64 lba, guint64 blocks)
{
	return lba <= BLOCKS && blocks <= BLOCKS - lba;
}

static guint8 *place(guint64 lba, guint64 blocks)
{
	fuzz_assert(is_inside(lba, blocks));
	return model + lba * SECTOR_SIZE;
}

static void do_write_same(const Scsi *scsi)
{
	static const guint8 zeros[SECTOR_SIZE];
	guint64 lba = address(scsi->cdb), blocks = count(scsi->cdb);
	const guint8 *block = blocks_of_data(scsi->cdb) ? scsi->data : zeros;

	fuzz_assert(lba <= BLOCKS);
	for (blocks = blocks ? blocks : BLOCKS - lba; blocks; blocks--, lba++)
		memcpy(place(lba, 1), block, SECTOR_SIZE);
}

static void do_unmap(const Scsi *scsi)
{
	gsize list = get_be(scsi->cdb + 7, 2), left = list ? get_be(scsi->data + 2, 2) : 0;
	const guint8 *at = scsi->data + UNMAP_HEADER;

	left = MIN(left, list ? list - UNMAP_HEADER : 0);
	for (; left >= UNMAP_DESCRIPTOR; left -= UNMAP_DESCRIPTOR, at += UNMAP_DESCRIPTOR) {
		guint64 lba = get_be(at, 8), blocks = get_be(at + 8, 4);

		memset(place(lba, blocks), 0, blocks * SECTOR_SIZE);
	}
}

static void do_copy(const Scsi *scsi)
{
	gsize left = get_be(scsi->data + 8, 4);
	const guint8 *at = scsi->data + 16 + get_be(scsi->data + 2, 2);

	for (; get_be(scsi->cdb + 10, 4) && left >= 28; left -= 28, at += 28) {
		guint64 blocks = get_be(at + 10, 2);

		memmove(place(get_be(at + 20, 8), blocks), place(get_be(at + 12, 8), blocks),
			blocks * SECTOR_SIZE);
	}
}

static void do_sanitize(const Scsi *scsi)
{
	guint8 passes = scsi->data[0] & 0x1f, flip = scsi->data[0] & 0x80 && passes % 2 == 0;
	gsize length = get_be(scsi->data + 2, 2);

	if ((scsi->cdb[1] & 0x1f) == 0x1f)
		return; /* nothing failed that the command could report */
	for (gsize i = 0; i < SIZE; i++)
		model[i] = (scsi->cdb[1] & 0x1f) == 1
				   ? scsi->data[4 + i % SECTOR_SIZE % length] ^ (flip ? 0xff : 0)
				   : 0;
}

static void apply(const Scsi *scsi)
{
	guint64 lba = address(scsi->cdb), blocks = count(scsi->cdb);
	gsize bytes = blocks * SECTOR_SIZE;

	switch (scsi->cdb[0]) {
	case 0x08: /* READ, and VERIFY with a comparison */
	case 0x28:
	case 0xa8:
	case 0x88:
	case 0x2f:
	case 0xaf:
	case 0x8f:
		if (blocks_of_data(scsi->cdb) == blocks)
			fuzz_assert(!memcmp(scsi->data, place(lba, blocks), bytes));
		break;
	case 0x0a: /* WRITE, WRITE ATOMIC, WRITE AND VERIFY */
	case 0x2a:
	case 0xaa:
	case 0x8a:
	case 0x9c:
	case 0x2e:
	case 0xae:
	case 0x8e:
		memcpy(place(lba, blocks), scsi->data, bytes);
		break;
	case 0x8b:
		for (gsize i = 0; i < bytes; i++)
			place(lba, blocks)[i] |= scsi->data[i];
		break;
	case 0x89:
		fuzz_assert(!memcmp(scsi->data, place(lba, blocks), bytes));
		memcpy(place(lba, blocks), scsi->data + bytes, bytes);
		break;
	case 0x41:
	case 0x93:
		do_write_same(scsi);
		break;
	case 0x42:
		do_unmap(scsi);
		break;
	case 0x04:
		memset(model, 0, SIZE);
		break;
	case 0x48:
		do_sanitize(scsi);
		break;
	case 0x83:
		do_copy(scsi);
		break;
	default: /* changes nothing */
		break;
	}
}

/* Whether the command is clearly valid: blocks inside the volume, and no bit set that may be
 * refused. */
static gboolean is_plainly_right(const Scsi *scsi)
{
	const guint8 *cdb = scsi->cdb;
	static const guint8 opcodes[] = {0x28, 0xa8, 0x88, 0x2a, 0xaa, 0x8a, 0x2e, 0xae,
					 0x8e, 0x8b, 0x41, 0x93, 0x2f, 0xaf, 0x8f};
	static const guint8 groups[8] = {0, 6, 6, 0, 14, 10}; /* the place of the group number */
	guint group = groups[cdb[0] >> 5];
	guint control = group == 6 ? 9 : group + 1;

	return memchr(opcodes, cdb[0], sizeof opcodes) && !cdb[1] && !cdb[control] &&
	       !(cdb[group] & ~0x3f) && is_inside(address(cdb), count(cdb)) &&
	       scsi->length == blocks_of_data(cdb) * SECTOR_SIZE;
}

/* ---- commands */

static int send_command(Command *command, const Scsi *scsi)
{
	command_init(command, &device, scsi->cdb[0], scsi->data, scsi->length, scsi->piece);
	memcpy(command->cdb, scsi->cdb, sizeof command->cdb);
	return command_send(command);
}

/* The only unit attention reports the state of the disk below, which does not matter here. */
static int send(Command *command, const Scsi *scsi)
{
	int status = send_command(command, scsi);

	if (status == STS_SENSE && (command->sense[2] & 0xf) == 0x6)
		status = send_command(command, scsi);
	return status;
}

static void run(const Scsi *scsi)
{
	Command command;
	int status = send(&command, scsi);

	fuzz_assert(status >= 0);
	fuzz_assert(status == STS_OK || !is_plainly_right(scsi) || write_protected);
	if (status == STS_SENSE)
		fuzz_assert((command.sense[0] & 0x70) == 0x70);
	if (status == STS_OK)
		apply(scsi);
	if (status == STS_OK && (scsi->cdb[0] == 0x15 || scsi->cdb[0] == 0x55))
		write_protected = TRUE; /* from now on, the volume may be write-protected */
}

static void repeat(const guint8 *in, gsize n, gsize length)
{
	gsize done = n ? MIN(n, length) : 0;

	memcpy(memory, in, done);
	if (!n)
		memset(memory, 0, length);
	for (gsize more; n && done < length; done += more) {
		more = MIN(done, length - done);
		memcpy(memory + done, memory, more);
	}
}

/* Takes one command from the input, and returns its length. */
static gsize take(const guint8 *in, gsize size, Scsi *scsi)
{
	gsize n = MIN(in[21], size - HEADER), length = get_le16(in + 16) * (gsize)16;

	memcpy(scsi->cdb, in, sizeof scsi->cdb);
	if (scsi->cdb[0] == 0x48)
		scsi->cdb[1] &= 0x7f; /* not IMMED: such a command continues after its answer */
	if (in[20] & 1)
		set_address(scsi->cdb, address(in) % (BLOCKS + 64));
	if (in[20] & 2)
		length = min_u64(blocks_of_data(scsi->cdb) * SECTOR_SIZE, DATA_MAX);
	scsi->data = memory;
	scsi->length = length;
	/* The command holds at most 64 pieces. */
	scsi->piece = max_u64(get_le16(in + 18), length / 60 + 1);
	memset(memory, 0, 64); /* in case there is less than a header */
	repeat(in + HEADER, n, length);
	if (in[20] & 4 && is_inside(address(scsi->cdb), count(scsi->cdb)))
		memcpy(memory, model + address(scsi->cdb) * SECTOR_SIZE,
		       min_u64(length, count(scsi->cdb) * SECTOR_SIZE));
	return HEADER + n;
}

static void must(const guint8 *cdb, const guint8 *data, gsize length)
{
	Scsi scsi = {.data = memory, .length = length};
	Command command;

	memcpy(scsi.cdb, cdb, sizeof scsi.cdb);
	memcpy(memory, data, length);
	fuzz_assert(send(&command, &scsi) == STS_OK);
}

/* Makes the volume writable and empty again. */
static void restore(void)
{
	static const guint8 select[16] = {0x15, 0x10, [4] = 16}, unmap[16] = {0x42, [8] = 24};
	static const guint8 page[16] = {0,    0, 0,    0, 0x0a, 0x0a, 0x02,
					0x10, 0, 0x40, 0, 0,	255,  255};
	guint8 list[24] = {0, 22, 0, 16};

	put_be(list + 16, BLOCKS, 4);
	must(select, page, sizeof page);
	must(unmap, list, sizeof list);
	write_protected = FALSE;
	memset(model, 0, SIZE);
}

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
	static Scsi read_all = {.cdb = {0x28, [7] = BLOCKS >> 8}, .length = SIZE};
	Scsi scsi;

	if (!model)
		setup();
	restore();
	for (guint i = 0; i < COMMANDS && size >= HEADER; i++) {
		gsize length = take(data, size, &scsi);

		run(&scsi);
		data += length;
		size -= length;
	}
	read_all.data = whole;
	run(&read_all);
	return 0;
}
