/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "common/base/bytes.h"
#include "tests/runner-host/host.h"

void command_init(Command *command, Dev *dev, guint8 opcode, void *data, gsize length, gsize piece)
{
	char *at = data;

	memset(command, 0, sizeof *command);
	command->dev = dev;
	command->cdb[0] = opcode;
	for (piece = piece ? piece : length; length; command->iov_cnt++) {
		struct iovec *iov = &command->iov[command->iov_cnt];

		iov->iov_base = at;
		iov->iov_len = MIN(piece, length);
		at += iov->iov_len;
		length -= iov->iov_len;
	}
}

void command_set_range(Command *command, guint64 lba, guint64 blocks)
{
	guint8 *cdb = command->cdb;

	switch (cdb[0] >> 5) {
	case 0:
		put_be(cdb + 1, lba, 3);
		cdb[4] = (guint8)blocks;
		break;
	case 4:
		put_be(cdb + 2, lba, 8);
		put_be(cdb + 10, blocks, 4);
		break;
	case 5:
		put_be(cdb + 2, lba, 4);
		put_be(cdb + 6, blocks, 4);
		break;
	default:
		put_be(cdb + 2, lba, 4);
		put_be(cdb + 7, blocks, 2);
	}
}

int command_send(Command *command)
{
	command_begin(command);
	return command_wait(command);
}

int run_range(Dev *dev, guint8 opcode, void *data, gsize length, guint64 lba, guint64 blocks)
{
	Command command;

	command_init(&command, dev, opcode, data, length, 0);
	command_set_range(&command, lba, blocks);
	return command_send(&command);
}

int run_read(Dev *dev, void *data, gsize length, guint64 offset)
{
	return run_range(dev, 0x28, data, length, offset / dev->block_size,
			 length / dev->block_size);
}

int run_write(Dev *dev, const void *data, gsize length, guint64 offset)
{
	return run_range(dev, 0x2a, (void *)data, length, offset / dev->block_size,
			 length / dev->block_size);
}

int run_flush(Dev *dev)
{
	return run_range(dev, 0x35, NULL, 0, 0, 0);
}

int run_unmap(Dev *dev, guint64 offset, guint64 length)
{
	guint8 list[24] = {0, 22, 0, 16};

	put_be(list + 8, offset / dev->block_size, 8);
	put_be(list + 16, length / dev->block_size, 4);
	return run_range(dev, 0x42, list, sizeof list, 0, sizeof list);
}
