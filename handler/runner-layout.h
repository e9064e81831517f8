/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where things are in the structures that the runner and a plugin share, by generation
 * (runner-abi.h): measured on the versions themselves, for LP64 (x86-64 and aarch64 agree).
 * layout-check/ compares this with the runner's headers, on machines that have them.
 */
#pragma once

/* The members of struct tcmur_handler that we fill.  All others are zero; lock, unlock,
 * get_lock_tag, report_event and _is_dbus_handler must be, wherever they are. */
/* clang-format off */
#define RUNNER_HANDLER_LAYOUT(ROW)                                                                 \
	/*  member         C    D    E    F    G */                                                \
	ROW(name,          0,   0,   0,   0,   0)                                                  \
	ROW(subtype,       8,   8,   8,   8,   8)                                                  \
	ROW(cfg_desc,     16,  16,  16,  16,  16)                                                  \
	ROW(check_config, 32,  32,  32,  32,  32)                                                  \
	ROW(reconfig,     40,  40,  40,  40,  40)                                                  \
	ROW(open,         48,  48,  48,  48,  48)                                                  \
	ROW(close,        56,  56,  56,  56,  56)                                                  \
	ROW(nr_threads,   64,  64,  64,  64,  64)                                                  \
	ROW(handle_cmd,   72,  72,  72,  72,  72)                                                  \
	ROW(write,        80,  80,  88,  88,  88)                                                  \
	ROW(read,         88,  88,  80,  80,  80)                                                  \
	ROW(flush,        96,  96,  96,  96,  96)                                                  \
	ROW(unmap,       104, 104, 104, 104, 104)
/* clang-format on */

/* More than the size of any generation's structure. */
#define RUNNER_HANDLER_SIZE 256

/* struct tcmulib_cmd: the first 128 bytes are the same everywhere. */
#define RUNNER_CMD_CDB 8
#define RUNNER_CMD_IOVEC 16
#define RUNNER_CMD_IOV_CNT 24
#define RUNNER_CMD_SENSE 32
#define RUNNER_CMD_DONE 136 /* C and D */

/* struct tcmur_cmd (E to G) begins with a pointer to a struct tcmulib_cmd. */
#define RUNNER_TCMUR_CMD_LIB_CMD 0

/* struct tcmulib_cfg_info: a kind, and a union. */
#define RUNNER_CFG_INFO_TYPE 0
#define RUNNER_CFG_INFO_DATA 8
