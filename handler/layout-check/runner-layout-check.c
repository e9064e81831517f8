/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compares runner-layout.h with a runner's headers, of the generation that COLUMN picks.  Compiled
 * where those headers are installed, and never linked.
 */
#include <stddef.h>
#include <tcmu-runner.h>
#include <libtcmu.h>

#include "handler/runner-layout.h"

#define COLUMN_C(c, d, e, f, g) c
#define COLUMN_D(c, d, e, f, g) d
#define COLUMN_E(c, d, e, f, g) e
#define COLUMN_F(c, d, e, f, g) f
#define COLUMN_G(c, d, e, f, g) g

#define SAME(type, member, offset)                                                                 \
	_Static_assert(offsetof(type, member) == (offset),                                         \
		       "the layout of " #type " differs from runner-layout.h: " #member)
#define CHECK_MEMBER(member, c, d, e, f, g)                                                        \
	SAME(struct tcmur_handler, member, COLUMN(c, d, e, f, g));

RUNNER_HANDLER_LAYOUT(CHECK_MEMBER)
_Static_assert(sizeof(struct tcmur_handler) <= RUNNER_HANDLER_SIZE,
	       "struct tcmur_handler is larger than runner-layout.h says");
SAME(struct tcmulib_cmd, cdb, RUNNER_CMD_CDB);
SAME(struct tcmulib_cmd, iovec, RUNNER_CMD_IOVEC);
SAME(struct tcmulib_cmd, iov_cnt, RUNNER_CMD_IOV_CNT);
SAME(struct tcmulib_cmd, sense_buf, RUNNER_CMD_SENSE);
#if COLUMN(1, 1, 0, 0, 0)
SAME(struct tcmulib_cmd, done, RUNNER_CMD_DONE);
#else
SAME(struct tcmur_cmd, lib_cmd, RUNNER_TCMUR_CMD_LIB_CMD);
#endif
SAME(struct tcmulib_cfg_info, type, RUNNER_CFG_INFO_TYPE);
SAME(struct tcmulib_cfg_info, data, RUNNER_CFG_INFO_DATA);
