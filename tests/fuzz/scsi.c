/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SCSI commands of any content, as the runner hands them to the plugin, on a volume of 1 MiB beside
 * an array that says what is in it.  The input is a list of commands:
 *
 *     16 bytes  CDB
 *     u16       bytes of data, in units of 16
 *     u16       bytes in each piece of memory that holds them
 *     u8        bit 0: the address is folded into the volume and a little beyond
 *     u8        n, and n bytes: the data, or the parameter list, again and again
 *
 * A command that lies in the volume and is what it says succeeds and does it; every other one is
 * refused and changes nothing.  The stand-in leaves out the runner's own checks.
 */
#include <string.h>

#include "common/bytes.h"
#include "common/pool.h"
#include "common/units.h"
#include "tests/fuzz/fuzz.h"
#include "tests/harness.h"
#include "tests/runner-host/host.h"

#define SIZE MIB
#define HEADER 22
#define COMMANDS 12
#define DATA_MAX ((gsize)G_MAXUINT16 * 16)
#define UNMAP_HEADER 8
#define UNMAP_DESCRIPTOR 16
#define CHECK_CONDITION 2

int handler_init(void);

typedef struct {
	guint8 cdb[16]; /* its address folded, where the input asks for that */
	guint64 offset;
	guint8 *data;
	gsize length;
	gsize piece;
} Scsi;

static Dev device;
static guint8 *model, *memory, *whole;

static void setup(void)
{
	g_autofree char *config = test_path(".conf"), *pool = test_path(".pool");
	g_autofree char *run = test_path(".run");
	g_autofree char *text = g_strdup_printf(
		"[storageos]\nrun_directory=%s\n[pool default]\npath=%s\n", run, pool);

	g_setenv("STORAGEOS_CONFIG", config, TRUE);
	fuzz_assert(g_file_set_contents(config, text, -1, NULL) &&
		    pool_create("default", pool, NULL) && !handler_init());
	device = (Dev){.cfgstring = "storageos/fuzz;create",
		       .num_lbas = SIZE / SECTOR_SIZE,
		       .block_size = SECTOR_SIZE,
		       .max_xfer_len = 128};
	fuzz_assert(!dev_add(&device));
	model = g_malloc(SIZE);
	whole = g_malloc(SIZE);
	memory = g_malloc(DATA_MAX + 1);
}

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

/* Into the volume, and a little beyond. */
static void fold(guint8 *cdb)
{
	guint64 lba = address(cdb) % (SIZE / SECTOR_SIZE + 64);

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

static gboolean is_inside(guint64 offset, guint64 length)
{
	return !((offset | length) % SECTOR_SIZE) && offset <= SIZE && length <= SIZE - offset;
}

static void prepare(Command *command, const Scsi *scsi)
{
	command_init(command, &device, scsi->cdb[0], scsi->data, scsi->length, scsi->piece);
	memcpy(command->cdb, scsi->cdb, sizeof command->cdb);
}

/* Sends it; what was answered, in the end, is what it must be. */
static gboolean send_ends_well(Command *command, const Scsi *scsi, gboolean wanted)
{
	int status;

	prepare(command, scsi);
	status = command_send(command);
	fuzz_assert(status >= 0);
	fuzz_assert((status == 0) == wanted);
	if (status == CHECK_CONDITION)
		fuzz_assert((command->sense[0] & 0x70) == 0x70);
	return !status;
}

static void do_read(const Scsi *scsi)
{
	Command command;

	if (send_ends_well(&command, scsi, is_inside(scsi->offset, scsi->length)))
		fuzz_assert(!memcmp(scsi->data, model + scsi->offset, scsi->length));
}

static void do_write(const Scsi *scsi)
{
	Command command;

	if (scsi->cdb[0] == 0x04)
		memset(scsi->data, 0, scsi->length); /* FORMAT UNIT */
	if (send_ends_well(&command, scsi, is_inside(scsi->offset, scsi->length)))
		memcpy(model + scsi->offset, scsi->data, scsi->length);
}

static void do_flush(const Scsi *scsi)
{
	Command command;

	send_ends_well(&command, scsi, TRUE);
}

/* A parameter list: its lengths are the guest's word, too. */
static gboolean unmap_is_right(const Scsi *scsi)
{
	gsize left = scsi->length < UNMAP_HEADER ? 0 : get_be(scsi->data + 2, 2);

	return !(scsi->cdb[1] & 1) && scsi->length >= UNMAP_HEADER + left &&
	       left % UNMAP_DESCRIPTOR == 0 && left <= 256 * UNMAP_DESCRIPTOR &&
	       get_be(scsi->data, 2) >= UNMAP_HEADER - 2 + left && scsi->length >= UNMAP_HEADER;
}

static void do_unmap(const Scsi *scsi)
{
	gboolean wanted = unmap_is_right(scsi);
	gsize left = wanted ? get_be(scsi->data + 2, 2) : 0;
	const guint8 *at = scsi->data + UNMAP_HEADER;
	Command command;

	for (; left && wanted; left -= UNMAP_DESCRIPTOR, at += UNMAP_DESCRIPTOR) {
		guint64 lba = get_be(at, 8), blocks = get_be(at + 8, 4);

		wanted = lba <= SIZE / SECTOR_SIZE && blocks <= SIZE / SECTOR_SIZE - lba;
		if (wanted)
			memset(model + lba * SECTOR_SIZE, 0, blocks * SECTOR_SIZE);
	}
	send_ends_well(&command, scsi, wanted);
}

static void do_write_same(const Scsi *scsi)
{
	gboolean longer = scsi->cdb[0] == 0x93;
	guint64 lba = get_be(scsi->cdb + 2, longer ? 8 : 4);
	guint64 blocks = get_be(scsi->cdb + (longer ? 10 : 7), longer ? 4 : 2);
	gboolean wanted = !(scsi->cdb[1] & 0xf1) && blocks && scsi->length == SECTOR_SIZE &&
			  lba <= SIZE / SECTOR_SIZE && blocks <= SIZE / SECTOR_SIZE - lba;
	Command command;

	if (send_ends_well(&command, scsi, wanted))
		for (; blocks--; lba++)
			memcpy(model + lba * SECTOR_SIZE, scsi->data, SECTOR_SIZE);
}

/* Half of the data to compare with, half to write: made equal to what is there, or not. */
static void do_compare_and_write(const Scsi *scsi)
{
	guint64 lba = get_be(scsi->cdb + 2, 8), blocks = scsi->cdb[13];
	guint64 offset = lba * SECTOR_SIZE, length = blocks * SECTOR_SIZE;
	gboolean valid = !(scsi->cdb[1] & 0xe0) && scsi->length == 2 * length &&
			 lba <= SIZE / SECTOR_SIZE && blocks <= SIZE / SECTOR_SIZE - lba;
	gboolean same;
	Command command;

	if (valid && scsi->cdb[15] & 1)
		memcpy(scsi->data, model + offset, length);
	same = valid && !memcmp(scsi->data, model + offset, length);
	if (send_ends_well(&command, scsi, same))
		memcpy(model + offset, scsi->data + length, length);
	else if (valid)
		fuzz_assert(command.status == CHECK_CONDITION && (command.sense[2] & 0xf) == 0xe);
}

static void run(const Scsi *scsi)
{
	switch (scsi->cdb[0]) {
	case 0x08: /* READ */
	case 0x28:
	case 0xa8:
	case 0x88:
		do_read(scsi);
		break;
	case 0x04: /* FORMAT UNIT, WRITE, WRITE AND VERIFY */
	case 0x0a:
	case 0x2a:
	case 0xaa:
	case 0x8a:
	case 0x2e:
	case 0xae:
	case 0x8e:
		do_write(scsi);
		break;
	case 0x35: /* SYNCHRONIZE CACHE */
	case 0x91:
		do_flush(scsi);
		break;
	case 0x42: /* UNMAP */
		do_unmap(scsi);
		break;
	case 0x41: /* WRITE SAME */
	case 0x93:
		do_write_same(scsi);
		break;
	case 0x89: /* COMPARE AND WRITE */
		do_compare_and_write(scsi);
		break;
	default: /* never gets to a handler */
		break;
	}
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

/* Takes one command from the input; returns how long it was. */
static gsize take(const guint8 *in, gsize size, Scsi *scsi)
{
	gsize n = MIN(in[21], size - HEADER);

	*scsi = (Scsi){.data = memory, .length = get_le16(in + 16) * (gsize)16};
	memcpy(scsi->cdb, in, sizeof scsi->cdb);
	if (in[20] & 1)
		fold(scsi->cdb);
	scsi->offset = address(scsi->cdb) * SECTOR_SIZE;
	/* The command has room for 64 pieces, COMPARE AND WRITE for 16 in each half. */
	scsi->piece = MAX(get_le16(in + 18), scsi->length / 8 + 1);
	repeat(in + HEADER, n, scsi->length);
	return HEADER + n;
}

static void erase(void)
{
	guint8 list[24] = {0, 22, 0, 16};

	put_be(list + 16, SIZE / SECTOR_SIZE, 4);
	fuzz_assert(!run_range(&device, 0x42, list, sizeof list, 0, sizeof list));
	memset(model, 0, SIZE);
}

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
	Scsi scsi;

	if (!model)
		setup();
	erase();
	for (guint i = 0; i < COMMANDS && size >= HEADER; i++) {
		gsize length = take(data, size, &scsi);

		run(&scsi);
		data += length;
		size -= length;
	}
	do_read(&(Scsi){.cdb = {0x28}, .data = whole, .length = SIZE});
	return 0;
}
