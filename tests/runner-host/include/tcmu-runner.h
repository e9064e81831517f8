/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tcmu-runner declares for its handlers, in our own words, by generation
 * (common/machine/runner-generation.h): GENERATION is 'C' to 'G', CANDIDATE is defined for the
 * candidates of 1.3.0.  Complete structures, where handler/runner-layout.h has what the plugin
 * fills alone.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct tcmu_device;
struct tcmulib_cfg_info;

#if GENERATION == 'C'
#define SAM_STAT_GOOD 0x00
#define SAM_STAT_CHECK_CONDITION 0x02
#define SAM_STAT_BUSY 0x08
#define SAM_STAT_TASK_SET_FULL 0x28
#define TCMU_NOT_HANDLED (-1)
#define TCMU_ASYNC_HANDLED (-2)
#else
enum {
	TCMU_STS_ASYNC_HANDLED = -2,
	TCMU_STS_NOT_HANDLED = -1,
	TCMU_STS_OK = 0,
	TCMU_STS_NO_RESOURCE = 1,
	TCMU_STS_PASSTHROUGH_ERR = 2,
	TCMU_STS_BUSY = 3,
};
#endif

struct tcmulib_cmd {
	uint16_t cmd_id;
	uint8_t *cdb;
	struct iovec *iovec;
	size_t iov_cnt;
	uint8_t sense_buf[96];
#if GENERATION <= 'D'
	void *cmdstate;
	void (*done)(struct tcmu_device *dev, struct tcmulib_cmd *cmd, int status);
#else
	void *hm_private;
#endif
};

#if GENERATION <= 'D'
typedef struct tcmulib_cmd runner_cmd;
#else
struct tcmur_cmd {
	struct tcmulib_cmd *lib_cmd;
	struct iovec *iovec;
	size_t iov_cnt;
	void *iov_base_copy;
	void *cmd_state;
	size_t requested;
	void *cmds_list_entry[2];
	int64_t start_time[2];
	bool timed_out;
	void (*done)(struct tcmu_device *dev, struct tcmur_cmd *cmd, int status);
};
typedef struct tcmur_cmd runner_cmd;
#endif

typedef int (*rw_fn)(struct tcmu_device *dev, runner_cmd *cmd, struct iovec *iov, size_t iov_cnt,
		     size_t length, off_t offset);
typedef int (*range_fn)(struct tcmu_device *dev, runner_cmd *cmd, uint64_t offset, uint64_t length,
			struct iovec *iov, size_t iov_cnt);

struct tcmur_handler {
	const char *name;
	const char *subtype;
	const char *cfg_desc;
	void *opaque;
	bool (*check_config)(const char *cfgstring, char **reason);
	int (*reconfig)(struct tcmu_device *dev, struct tcmulib_cfg_info *cfg);
#if GENERATION == 'C'
	int (*open)(struct tcmu_device *dev);
#else
	int (*open)(struct tcmu_device *dev, bool reopen);
#endif
	void (*close)(struct tcmu_device *dev);
	int nr_threads;
	int (*handle_cmd)(struct tcmu_device *dev, runner_cmd *cmd);
#if GENERATION <= 'D'
	rw_fn write;
	rw_fn read;
#else
	rw_fn read;
	rw_fn write;
#endif
	int (*flush)(struct tcmu_device *dev, runner_cmd *cmd);
	int (*unmap)(struct tcmu_device *dev, runner_cmd *cmd, uint64_t offset, uint64_t length);
#if GENERATION == 'G'
	range_fn writesame;
	range_fn caw;
#endif
#if GENERATION >= 'F'
	void (*report_event)(struct tcmu_device *dev);
#endif
#if GENERATION == 'C'
	int (*lock)(struct tcmu_device *dev);
#ifndef CANDIDATE
	int (*get_lock_state)(struct tcmu_device *dev);
#endif
#else
	int (*lock)(struct tcmu_device *dev, uint16_t tag);
	int (*unlock)(struct tcmu_device *dev);
	int (*get_lock_tag)(struct tcmu_device *dev, uint16_t *tag);
	int (*get_lock_state)(struct tcmu_device *dev);
#endif
	bool _is_dbus_handler;
#if GENERATION >= 'E'
	bool (*update_logdir)(void);
#endif
#if GENERATION >= 'F'
	int (*init)(void);
	void (*destroy)(void);
#endif
};
