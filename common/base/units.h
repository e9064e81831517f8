/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sizes: bytes, sectors, blocks and slots; parsing and formatting.
 *
 * A *sector* (512 bytes) is the unit of alignment of requests, a *block* (4096 bytes) the unit of
 * mapping in the volume's address space, a *slot* (4096 bytes) the unit of space in the backing.
 */
#pragma once

#include <glib.h>

#define KIB ((guint64)1 << 10)
#define MIB ((guint64)1 << 20)
#define GIB ((guint64)1 << 30)
#define TIB ((guint64)1 << 40)

#define SECTOR_SIZE 512u
#define BLOCK_SHIFT 12
#define BLOCK_SIZE 4096u

static inline guint64 blocks_to_bytes(guint64 blocks)
{
	return blocks << BLOCK_SHIFT;
}

/* The block that byte `offset` is in. */
static inline guint64 block_of(guint64 offset)
{
	return offset >> BLOCK_SHIFT;
}

/* The number of blocks that `bytes` bytes take, from the start of a block. */
static inline guint64 blocks_covering(guint64 bytes)
{
	return (bytes >> BLOCK_SHIFT) + ((bytes & (BLOCK_SIZE - 1)) != 0);
}

/* Parses "4096", "10G", "10Gi", "1.5T", "64MiB", "512 K"; all units are binary.  For any other
 * text, a negative number or more than 2^63 - 1 bytes: FALSE, and *ret_bytes is unchanged. */
gboolean size_parse(const char *text, guint64 *ret_bytes);

/* "10 GiB", "1.5 TiB", "512 B": at most one decimal.  Free the result. */
char *size_format(guint64 bytes);

/* The same with at most two decimals, for sizes that are compared: "1.75 GiB". */
char *size_format_exactly(guint64 bytes);
