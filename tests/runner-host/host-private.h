/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of the host that are built for each generation share: in what the generations
 * differ, apart from names (exports.c) and structures (include/).
 */
#pragma once

#include <libtcmu.h>
#include <string.h>
#include <tcmu-runner.h>

#include "tests/runner-host/host.h"

/* What the plugin registered. */
extern struct tcmur_handler *host_handler;

void host_cmd_complete(Dev *dev, void *cmd, int status);
void tcmulib_processing_complete(Dev *dev);

#if GENERATION == 'C'
#define NOT_HANDLED TCMU_NOT_HANDLED
#define ASYNC_HANDLED TCMU_ASYNC_HANDLED
#define IS_BUSY SAM_STAT_BUSY
#define TELLS_WHEN_IDLE TRUE	   /* notifies the kernel only when no command is left */
#define SETS_GRANULARITY_LATE TRUE /* after open(), to the largest transfer, with alignment 0 */
#else
#define NOT_HANDLED TCMU_STS_NOT_HANDLED
#define ASYNC_HANDLED TCMU_STS_ASYNC_HANDLED
#define IS_BUSY TCMU_STS_BUSY
#define TELLS_WHEN_IDLE FALSE
#define SETS_GRANULARITY_LATE FALSE
#endif
#define REFUSES_AT_ONCE (GENERATION == 'C') /* during a recovery, before handle_cmd is called */

#if GENERATION >= 'E'
#define TCMUR_CMD_SIZE sizeof(struct tcmur_cmd)
#else
#define TCMUR_CMD_SIZE 0
#endif

static inline void fill_sense(guint8 *sense, guint8 key, guint8 asc, guint8 ascq)
{
	memset(sense, 0, 18);
	sense[0] = 0x70;
	sense[2] = key;
	sense[7] = 10;
	sense[12] = asc;
	sense[13] = ascq;
}

/* The SCSI status for the runner's.  Only statuses that the plugin may use are translated. */
static inline int status_to_scsi(int status, guint8 *sense)
{
	if (status == NOT_HANDLED) {
		fill_sense(sense, 0x5, 0x20, 0x00);
		return STS_SENSE;
	}
#if GENERATION == 'C'
	return status;
#else
	switch (status) {
	case TCMU_STS_OK:
		return STS_OK;
	case TCMU_STS_NO_RESOURCE:
		return STS_NO_RESOURCE;
	case TCMU_STS_PASSTHROUGH_ERR:
		return STS_SENSE;
	case TCMU_STS_BUSY:
		return STS_BUSY;
	}
	return -1;
#endif
}

static inline int refuse(guint8 *sense, guint8 key, guint8 asc, guint8 ascq)
{
	fill_sense(sense, key, asc, ascq);
#if GENERATION == 'C'
	return SAM_STAT_CHECK_CONDITION;
#else
	return TCMU_STS_PASSTHROUGH_ERR;
#endif
}

/* CAPACITY DATA HAS CHANGED. */
static inline int unit_attention(guint8 *sense)
{
	return refuse(sense, 0x6, 0x2a, 0x09);
}

/* The runner's number of blocks, which the plugin also sets. */
static inline guint64 dev_blocks(Dev *dev)
{
	return __atomic_load_n(&dev->num_lbas, __ATOMIC_RELAXED);
}

static inline void dev_set_blocks(Dev *dev, guint64 blocks)
{
	__atomic_store_n(&dev->num_lbas, blocks, __ATOMIC_RELAXED);
}
