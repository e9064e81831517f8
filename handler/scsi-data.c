/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands on blocks: the range, its length, its data.
 *
 * DPO is a hint and is ignored.  FUA makes the answer wait for a flush, for a read, too: what the
 * read returned will be returned after a power loss.  There is no protection information.
 */
#include "handler/scsi-private.h"

#define PROTECT 0xe0
#define ANCHOR 0x10
#define FUA 0x08
#define FUA_NV 0x02
#define BYTCHK 0x06
#define BYTCHK_NONE 0
#define BYTCHK_ALL 2
#define BYTCHK_ONE 6
#define NDOB 0x01

/* Where a CDB has its fields, by the opcode's group. */
typedef struct {
	guint8 lba, lba_bytes, count, count_bytes;
} Fields;

static const Fields fields[8] = {
	[0] = {1, 3, 4, 1},  [1] = {2, 4, 7, 2}, [2] = {2, 4, 7, 2},
	[4] = {2, 8, 10, 4}, [5] = {2, 4, 6, 4},
};

typedef struct {
	guint64 lba, count;
	guint8 flags;	  /* byte 1; 0 if that is part of the address */
	guint count_byte; /* where the count is in the CDB, for sense data */
} Blocks;

static Blocks blocks_from_cdb(const guint8 *cdb)
{
	const Fields *f = &fields[cdb[0] >> 5];
	Blocks blocks = {.lba = get_be(cdb + f->lba, f->lba_bytes),
			 .count = get_be(cdb + f->count, f->count_bytes),
			 .flags = cdb[0] >> 5 ? cdb[1] : 0,
			 .count_byte = f->count};

	if (cdb[0] >> 5 == 0) {
		blocks.lba &= 0x1fffff;
		if (!blocks.count)
			blocks.count = 256;
	}
	return blocks;
}

static RunnerStatus blocks_check(const ScsiUnit *unit, const ScsiCommand *command,
				 const Blocks *blocks)
{
	guint64 all = scsi_unit_blocks(unit);

	if (blocks->flags & PROTECT)
		return sense_set_cdb_field(command->sense, 1);
	if (blocks->lba > all || blocks->count > all - blocks->lba)
		return sense_refuse(command->sense, sense_out_of_range);
	return RUNNER_OK;
}

/* Fills the request's range; the command must have data of `data_blocks` blocks. */
static RunnerStatus request_prepare(ScsiUnit *unit, const ScsiCommand *command, Request *request,
				    const Blocks *blocks, guint64 data_blocks)
{
	RunnerStatus status = blocks_check(unit, command, blocks);

	if (status)
		return status;
	if (scsi_data_length(command) != data_blocks * unit->block_size)
		return sense_set_cdb_field(command->sense, blocks->count_byte);
	request->offset = blocks->lba * unit->block_size;
	request->length = blocks->count * unit->block_size;
	return RUNNER_OK;
}

static RunnerStatus request_queue(Request *request, RequestKind kind, gboolean durable)
{
	request->kind = request->length ? kind : REQUEST_NOTHING;
	request->durable = durable;
	return RUNNER_LATER;
}

static gboolean blocks_are_durable(const Blocks *blocks)
{
	return (blocks->flags & (FUA | FUA_NV)) != 0;
}

static gboolean opcode_writes(guint8 opcode)
{
	return opcode == 0x0a || opcode == 0x2a || opcode == 0x8a || opcode == 0xaa;
}

RunnerStatus scsi_read_write(ScsiUnit *unit, const ScsiCommand *command, Request *request)
{
	Blocks blocks = blocks_from_cdb(command->cdb);
	RunnerStatus status = request_prepare(unit, command, request, &blocks, blocks.count);

	if (status)
		return status;
	status = request_queue(request,
			       opcode_writes(command->cdb[0]) ? REQUEST_WRITE : REQUEST_READ,
			       blocks_are_durable(&blocks));
	/* Without FUA, the runner's own way is the fastest. */
	return blocks.count && !request->durable ? RUNNER_NOT_HANDLED : status;
}

RunnerStatus scsi_write_atomic(ScsiUnit *unit, const ScsiCommand *command, Request *request)
{
	Blocks blocks = blocks_from_cdb(command->cdb);
	RunnerStatus status;

	if (!scsi_max_atomic(unit))
		return sense_refuse(command->sense, sense_invalid_opcode);
	blocks.count = get_be(command->cdb + 12, 2); /* follows the boundary, which must be 0 */
	blocks.count_byte = 12;
	status = request_prepare(unit, command, request, &blocks, blocks.count);
	if (status)
		return status;
	if (blocks.count > scsi_max_atomic(unit) || blocks.count % scsi_atomic_unit(unit))
		return sense_set_cdb_field(command->sense, blocks.count_byte);
	if (blocks.lba % scsi_atomic_unit(unit))
		return sense_set_cdb_field(command->sense, 2);
	return request_queue(request, REQUEST_WRITE, blocks_are_durable(&blocks));
}

RunnerStatus scsi_write_verify(ScsiUnit *unit, const ScsiCommand *command, Request *request)
{
	Blocks blocks = blocks_from_cdb(command->cdb);
	RunnerStatus status = request_prepare(unit, command, request, &blocks, blocks.count);

	if (status)
		return status;
	if ((blocks.flags & BYTCHK) != BYTCHK_NONE && (blocks.flags & BYTCHK) != BYTCHK_ALL)
		return sense_set_cdb_field(command->sense, 1);
	return request_queue(request, REQUEST_WRITE_AND_VERIFY, FALSE);
}

RunnerStatus scsi_verify(ScsiUnit *unit, const ScsiCommand *command, Request *request)
{
	Blocks blocks = blocks_from_cdb(command->cdb);
	RequestKind kind = REQUEST_VERIFY;
	guint64 data = 0;
	RunnerStatus status;

	switch (blocks.flags & BYTCHK) {
	case BYTCHK_NONE:
		break;
	case BYTCHK_ALL:
		kind = REQUEST_COMPARE;
		data = blocks.count;
		break;
	case BYTCHK_ONE:
		kind = REQUEST_COMPARE_SAME;
		data = 1;
		break;
	default:
		return sense_set_cdb_field(command->sense, 1);
	}
	status = request_prepare(unit, command, request, &blocks, data);
	return status ? status : request_queue(request, kind, FALSE);
}

RunnerStatus scsi_or_write(ScsiUnit *unit, const ScsiCommand *command, Request *request)
{
	Blocks blocks = blocks_from_cdb(command->cdb);
	RunnerStatus status = request_prepare(unit, command, request, &blocks, blocks.count);

	return status ? status : request_queue(request, REQUEST_OR, blocks_are_durable(&blocks));
}

RunnerStatus scsi_compare_and_write(ScsiUnit *unit, const ScsiCommand *command, Request *request)
{
	Blocks blocks = blocks_from_cdb(command->cdb);
	RunnerStatus status;

	blocks.count = command->cdb[13];
	blocks.count_byte = 13;
	status = request_prepare(unit, command, request, &blocks, 2 * blocks.count);
	if (status)
		return status;
	if (blocks.count > scsi_max_compare(unit))
		return sense_set_cdb_field(command->sense, blocks.count_byte);
	return request_queue(request, REQUEST_COMPARE_AND_WRITE, blocks_are_durable(&blocks));
}

static gboolean data_is_zero(const ScsiCommand *command)
{
	for (gsize i = 0; i < command->count; i++) {
		const guint8 *data = command->iov[i].iov_base;
		gsize length = command->iov[i].iov_len;

		if (length && (data[0] || memcmp(data, data + 1, length - 1) != 0))
			return FALSE;
	}
	return TRUE;
}

/* A count of 0 means the rest of the unit.  Zeros are unmapped, with the UNMAP bit or without. */
RunnerStatus scsi_write_same(ScsiUnit *unit, const ScsiCommand *command, Request *request)
{
	Blocks blocks = blocks_from_cdb(command->cdb);
	gboolean no_data = command->cdb[0] == 0x93 && blocks.flags & NDOB;
	RunnerStatus status = blocks_check(unit, command, &blocks);

	if (status)
		return status;
	if (blocks.flags & ANCHOR) /* not supported, as page B2h says */
		return sense_set_cdb_field(command->sense, 1);
	if (!blocks.count)
		blocks.count = scsi_unit_blocks(unit) - blocks.lba;
	if (blocks.count > scsi_max_write_same(unit))
		return sense_set_cdb_field(command->sense, blocks.count_byte);
	status = request_prepare(unit, command, request, &blocks, no_data ? 0 : 1);
	if (status)
		return status;
	return request_queue(request, data_is_zero(command) ? REQUEST_ZERO : REQUEST_WRITE_SAME,
			     FALSE);
}

/* Nothing is prefetched: only the page cache of the file system below could be filled, and
 * CONDITION MET would promise that all of it stays there. */
RunnerStatus scsi_prefetch(ScsiUnit *unit, const ScsiCommand *command, Request *request)
{
	Blocks blocks = blocks_from_cdb(command->cdb);

	(void)request;
	blocks.flags = 0;
	return blocks_check(unit, command, &blocks);
}

/* Flushes the whole volume whatever the range, and ignores IMMED: more than was asked for. */
RunnerStatus scsi_synchronize(ScsiUnit *unit, const ScsiCommand *command, Request *request)
{
	Blocks blocks = blocks_from_cdb(command->cdb);
	RunnerStatus status;

	blocks.flags = 0;
	status = blocks_check(unit, command, &blocks);
	if (status)
		return status;
	request->kind = REQUEST_FLUSH;
	return RUNNER_LATER;
}
