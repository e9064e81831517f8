/* SPDX-License-Identifier: Apache-2.0 */
/* The rest of what tcmu-runner declares for its handlers: the same in all generations. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum tcmulib_cfg_type {
	TCMULIB_CFG_DEV_CFGSTR,
	TCMULIB_CFG_DEV_SIZE,
	TCMULIB_CFG_WRITE_CACHE,
};

struct tcmulib_cfg_info {
	enum tcmulib_cfg_type type;
	union {
		uint64_t dev_size;
		char *dev_cfgstring;
		bool write_cache;
	} data;
};
