/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The functions that a runner of this generation exports, as far as they identify the generation or
 * are of use to a plugin; with the runner's prototypes.
 */
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tests/harness.h"
#include "tests/runner-host/host-private.h"

/* The accessors were renamed in December 2018, between 1.4.1 and 1.5.0. */
#if GENERATION >= 'E' || defined(SNAPSHOT)
#define GET(name) tcmu_dev_get_##name
#define SET(name) tcmu_dev_set_##name
#define GET_PRIVATE tcmur_dev_get_private
#define SET_PRIVATE tcmur_dev_set_private
#define SET_RUNNERS_OWN tcmu_dev_set_private
#else
#define GET(name) tcmu_get_dev_##name
#define SET(name) tcmu_set_dev_##name
#define GET_PRIVATE tcmu_get_dev_private
#define SET_PRIVATE tcmu_set_dev_private
#define SET_RUNNERS_OWN tcmu_set_daemon_dev_private
#endif

#define EXPORT(type, name, ...)                                                                    \
	__attribute__((visibility("default"))) type name(__VA_ARGS__);                             \
	type name(__VA_ARGS__)

struct tcmur_handler *host_handler;

#if GENERATION == 'C' && defined(CANDIDATE)
const char *const host_name = "1.3.0-rc4";
#elif GENERATION == 'C'
const char *const host_name = "1.3.0";
#elif GENERATION == 'D' && defined(SNAPSHOT)
const char *const host_name = "a snapshot before 1.5.0";
#elif GENERATION == 'D'
const char *const host_name = "1.4.1";
#elif GENERATION == 'E'
const char *const host_name = "1.5.2";
#elif GENERATION == 'F'
const char *const host_name = "1.5.3";
#else
const char *const host_name = "1.5.4";
#endif

static GMutex lock;
static GString *log_text;

EXPORT(int, tcmur_register_handler, struct tcmur_handler *handler)
{
	host_handler = handler;
	return 0;
}

EXPORT(void, tcmulib_processing_complete, Dev *dev);

/* ---- symbols that identify the generation */

#define TELLS(name)                                                                                \
	EXPORT(int, name, void)                                                                    \
	{                                                                                          \
		return 0;                                                                          \
	}

TELLS(tcmu_notify_conn_lost)
TELLS(tcmu_notify_lock_lost)
#if GENERATION < 'G'
TELLS(tcmur_handle_writesame)
#ifndef CANDIDATE
TELLS(tcmur_handle_caw)
#endif
#endif
#if GENERATION == 'C'
TELLS(tcmu_set_sense_data)
#elif GENERATION == 'D' && !defined(SNAPSHOT)
TELLS(__tcmu_set_sense_data)
#else
TELLS(__tcmu_sense_set_data)
#endif
#if GENERATION >= 'D'
TELLS(tcmur_dev_update_size)
#endif
#if GENERATION >= 'E'
EXPORT(void, tcmur_cmd_complete, Dev *dev, void *cmd, int status)
{
	host_cmd_complete(dev, cmd, status);
}
#endif
#if GENERATION >= 'F'
TELLS(tcmu_notify_cmd_timed_out)
#endif

/* ---- devices */

EXPORT(void *, GET_PRIVATE, Dev *dev)
{
	return dev->private_data;
}

EXPORT(void, SET_PRIVATE, Dev *dev, void *data)
{
	dev->private_data = data;
}

EXPORT(void, SET_RUNNERS_OWN, Dev *dev, void *data)
{
	dev->runners_own = data;
}

EXPORT(char *, GET(cfgstring), Dev *dev)
{
	return dev->cfgstring;
}

EXPORT(int, GET(fd), Dev *dev)
{
	(void)dev;
	return 8765; /* never open: g_file_read_link() in system.c */
}

EXPORT(guint64, GET(num_lbas), Dev *dev)
{
	return dev_blocks(dev);
}

EXPORT(void, SET(num_lbas), Dev *dev, guint64 blocks)
{
	dev_set_blocks(dev, blocks);
}

EXPORT(guint32, GET(block_size), Dev *dev)
{
	return dev->block_size;
}

EXPORT(guint32, GET(max_xfer_len), Dev *dev)
{
	return dev->max_xfer_len;
}

EXPORT(void, SET(max_xfer_len), Dev *dev, guint32 blocks)
{
	dev->max_xfer_len = blocks;
}

#if GENERATION == 'C'
EXPORT(void, SET(opt_unmap_gran), Dev *dev, guint32 blocks)
{
	dev->opt_unmap_gran = blocks;
}
#else
EXPORT(void, SET(opt_unmap_gran), Dev *dev, guint32 blocks, bool split)
{
	dev->opt_unmap_gran = blocks;
	dev->split_unmaps = split;
}
#endif

EXPORT(void, SET(unmap_gran_align), Dev *dev, guint32 blocks)
{
	dev->unmap_gran_align = blocks;
}

EXPORT(void, SET(write_cache_enabled), Dev *dev, bool enabled)
{
	dev->write_cache = enabled;
}

#ifndef CANDIDATE
EXPORT(void, SET(solid_state_media), Dev *dev, bool enabled)
{
	dev->solid_state = enabled;
}
#endif

/* ---- the runner's log: a buffer of 255 bytes; the caller adds the newline */

static void message(const char *function, int line, const char *format, va_list args)
	G_GNUC_PRINTF(3, 0);

static void message(const char *function, int line, const char *format, va_list args)
{
	char text[255];
	int n = g_snprintf(text, sizeof text, "%s:%d: ", function, line);

	vsnprintf(text + n, sizeof text - (gsize)n, format, args);
	g_mutex_lock(&lock);
	if (!log_text)
		log_text = g_string_new(NULL);
	g_string_append(log_text, text);
	g_mutex_unlock(&lock);
}

#define MESSAGE(name)                                                                              \
	__attribute__((visibility("default"))) void name(Dev *dev, const char *function, int line, \
							 const char *format, ...)                  \
		G_GNUC_PRINTF(4, 5);                                                               \
	void name(Dev *dev, const char *function, int line, const char *format, ...)               \
	{                                                                                          \
		va_list args;                                                                      \
                                                                                                   \
		(void)dev;                                                                         \
		va_start(args, format);                                                            \
		message(function, line, format, args);                                             \
		va_end(args);                                                                      \
	}

MESSAGE(tcmu_err_message)
MESSAGE(tcmu_warn_message)
MESSAGE(tcmu_info_message)
MESSAGE(tcmu_dbg_message)

char *host_log_text(void)
{
	char *text;

	g_mutex_lock(&lock);
	text = g_strdup(log_text ? log_text->str : "");
	g_mutex_unlock(&lock);
	return text;
}

/* ---- the handler */

gboolean host_load(const char *path)
{
	void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	int (*init)(void) = NULL;
	void *symbol;

	if (!module) {
		printf("# %s\n", dlerror());
		return FALSE;
	}
	symbol = dlsym(module, "handler_init");
	memcpy(&init, &symbol, sizeof init);
	return init && !init();
}

/* Whether the handler has all functions that a disk needs and no others: lock, report_event and the
 * like are for clusters. */
gboolean host_handler_is_complete(void)
{
	const struct tcmur_handler *h = host_handler;
	const char *at = (const char *)&h->unmap + sizeof h->unmap;
	const char *end = (const char *)h + sizeof *h;

	for (; at < end; at++)
		if (!CHECK_INT(*at, 0))
			return FALSE;
	return CHECK_STR(h->subtype, "storageos") && CHECK(h->name && h->cfg_desc && !h->opaque) &&
	       CHECK(h->check_config && h->reconfig && h->open && h->close) &&
	       CHECK_INT(h->nr_threads, 0) && CHECK(h->handle_cmd && h->read && h->write) &&
	       CHECK(h->flush && h->unmap); /* INQUIRY reports UNMAP only if h->unmap is set */
}

gboolean host_check_config(const char *cfgstring, char **reason)
{
	return host_handler->check_config(cfgstring, reason);
}
