/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The functions of tcmu-runner 1.5.4 to 1.6.2 that handlers call on their data path and while they
 * open a device, with the runner's prototypes, and those by which a plugin tells the runner's
 * generation.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/hbench.h"

GSList *hbench_handlers;

EXPORT(int, tcmur_register_handler, struct tcmur_handler *handler)
{
	if (handler->init && handler->init())
		return -1;
	hbench_handlers = g_slist_prepend(hbench_handlers, handler);
	return 0;
}

/* ---- what tells the generation and otherwise does nothing */

#define TELLS(name)                                                                                \
	EXPORT(int, name, void)                                                                    \
	{                                                                                          \
		return 0;                                                                          \
	}

TELLS(tcmu_notify_conn_lost)
TELLS(tcmu_notify_lock_lost)
TELLS(tcmu_notify_cmd_timed_out)
TELLS(__tcmu_sense_set_data)

/* ---- the log */

#define MESSAGE(name, level)                                                                       \
	__attribute__((visibility("default"))) void name(                                          \
		struct tcmu_device *dev, const char *function, int line, const char *format, ...)  \
		G_GNUC_PRINTF(4, 5);                                                               \
	void name(struct tcmu_device *dev, const char *function, int line, const char *format,     \
		  ...)                                                                             \
	{                                                                                          \
		va_list args;                                                                      \
                                                                                                   \
		(void)dev;                                                                         \
		if (hbench_log_level < (level))                                                    \
			return;                                                                    \
		va_start(args, format);                                                            \
		fprintf(stderr, "%s:%d: ", function, line);                                        \
		vfprintf(stderr, format, args);                                                    \
		va_end(args);                                                                      \
	}

MESSAGE(tcmu_crit_message, 1)
MESSAGE(tcmu_err_message, 2)
MESSAGE(tcmu_warn_message, 3)
MESSAGE(tcmu_info_message, 4)
MESSAGE(tcmu_dbg_message, 5)

/* ---- devices */

#define GETTER(type, name, field)                                                                  \
	EXPORT(type, name, struct tcmu_device *dev)                                                \
	{                                                                                          \
		return dev->field;                                                                 \
	}
#define SETTER(type, name, field)                                                                  \
	EXPORT(void, name, struct tcmu_device *dev, type value)                                    \
	{                                                                                          \
		dev->field = value;                                                                \
	}

GETTER(void *, tcmur_dev_get_private, private_data)
SETTER(void *, tcmur_dev_set_private, private_data)
GETTER(void *, tcmu_dev_get_private, runners_own)
SETTER(void *, tcmu_dev_set_private, runners_own)
GETTER(char *, tcmu_dev_get_cfgstring, cfgstring)
GETTER(int, tcmu_dev_get_fd, uio)
GETTER(guint64, tcmu_dev_get_num_lbas, num_lbas)
SETTER(guint64, tcmu_dev_set_num_lbas, num_lbas)
GETTER(guint32, tcmu_dev_get_block_size, block_size)
SETTER(guint32, tcmu_dev_set_block_size, block_size)
GETTER(guint32, tcmu_dev_get_max_xfer_len, max_xfer_len)
SETTER(guint32, tcmu_dev_set_max_xfer_len, max_xfer_len)
GETTER(guint32, tcmu_dev_get_max_unmap_len, max_unmap_len)
SETTER(guint32, tcmu_dev_set_max_unmap_len, max_unmap_len)
GETTER(guint32, tcmu_dev_get_opt_unmap_gran, opt_unmap_gran)
GETTER(guint32, tcmu_dev_get_unmap_gran_align, unmap_gran_align)
SETTER(guint32, tcmu_dev_set_unmap_gran_align, unmap_gran_align)
GETTER(bool, tcmu_dev_get_write_cache_enabled, write_cache)
SETTER(bool, tcmu_dev_set_write_cache_enabled, write_cache)
GETTER(bool, tcmu_dev_get_write_protect_enabled, write_protect)
SETTER(bool, tcmu_dev_set_write_protect_enabled, write_protect)
GETTER(bool, tcmu_dev_get_solid_state_media, solid_state)
SETTER(bool, tcmu_dev_set_solid_state_media, solid_state)
GETTER(bool, tcmu_dev_get_unmap_enabled, unmap_enabled)
SETTER(bool, tcmu_dev_set_unmap_enabled, unmap_enabled)

EXPORT(void, tcmu_dev_set_opt_unmap_gran, struct tcmu_device *dev, guint32 blocks, bool split)
{
	dev->opt_unmap_gran = blocks;
	dev->split_unmaps = split;
}

EXPORT(int, tcmur_dev_update_size, struct tcmu_device *dev, guint64 bytes)
{
	dev->num_lbas = bytes / dev->block_size;
	return 0;
}

EXPORT(int, tcmu_cfgfs_dev_get_attr_int, struct tcmu_device *dev, const char *name)
{
	if (!strcmp(name, "hw_block_size"))
		return (int)dev->block_size;
	if (!strcmp(name, "hw_max_sectors"))
		return (int)hbench_max_sectors;
	return strcmp(name, "hw_queue_depth") ? 0 : 128;
}

EXPORT(guint64, tcmu_cfgfs_dev_get_info_u64, struct tcmu_device *dev, const char *name,
       int *ret_error)
{
	*ret_error = strcmp(name, "Size") ? -EINVAL : 0;
	return *ret_error ? 0 : dev->num_lbas * dev->block_size;
}

EXPORT(char *, tcmu_cfgfs_dev_get_wwn, struct tcmu_device *dev)
{
	(void)dev;
	return strdup("6001405-hbench");
}

/* ---- vectors */

EXPORT(size_t, tcmu_iovec_length, struct iovec *iov, size_t n)
{
	size_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += iov[i].iov_len;
	return sum;
}

EXPORT(size_t, tcmu_iovec_seek, struct iovec *iov, size_t count)
{
	size_t used = 0;

	for (; count; used++) {
		size_t step = MIN(count, iov[used].iov_len);

		iov[used].iov_base = (char *)iov[used].iov_base + step;
		iov[used].iov_len -= step;
		count -= step;
		if (iov[used].iov_len)
			break;
	}
	return used;
}

EXPORT(void, tcmu_iovec_zero, struct iovec *iov, size_t n)
{
	for (size_t i = 0; i < n; i++)
		memset(iov[i].iov_base, 0, iov[i].iov_len);
}

EXPORT(size_t, tcmu_memcpy_into_iovec, struct iovec *iov, size_t n, void *from, size_t length)
{
	size_t done = 0;

	for (size_t i = 0; i < n && done < length; i++) {
		size_t step = MIN(length - done, iov[i].iov_len);

		memcpy(iov[i].iov_base, (char *)from + done, step);
		tcmu_iovec_seek(&iov[i], step);
		done += step;
	}
	return done;
}

EXPORT(size_t, tcmu_memcpy_from_iovec, void *to, size_t length, struct iovec *iov, size_t n)
{
	size_t done = 0;

	for (size_t i = 0; i < n && done < length; i++) {
		size_t step = MIN(length - done, iov[i].iov_len);

		memcpy((char *)to + done, iov[i].iov_base, step);
		done += step;
	}
	return done;
}

/* ---- sense data */

EXPORT(int, tcmu_sense_set_data, guint8 *sense, guint8 key, guint16 code)
{
	memset(sense, 0, 18);
	sense[0] = 0x70;
	sense[2] = key;
	sense[7] = 10;
	sense[12] = (guint8)(code >> 8);
	sense[13] = (guint8)code;
	return TCMU_STS_PASSTHROUGH_ERR;
}
