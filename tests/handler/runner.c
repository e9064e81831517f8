/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/handler/runner.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/bytes.h"
#include "tests/harness.h"

#define EXPORT __attribute__((visibility("default")))

#define DEVICE_FD 8765 /* never open */

Handler *runner_handler;
const char *enabled_text;
gint clock_skew, clock_cancels, fdatasync_calls, fdatasync_error, fdatasync_delay;

static GMutex lock;
static GCond completed;
static GString *log_text;

/* ---- what the runner exports; prototypes as they are there */

EXPORT int tcmur_register_handler(Handler *handler);
EXPORT void tcmur_cmd_complete(Dev *dev, void *data, int status);
EXPORT void tcmu_notify_cmd_timed_out(Dev *dev);
EXPORT void *tcmur_dev_get_private(Dev *dev);
EXPORT void tcmur_dev_set_private(Dev *dev, void *data);
EXPORT char *tcmu_dev_get_cfgstring(Dev *dev);
EXPORT int tcmu_dev_get_fd(Dev *dev);
EXPORT void tcmulib_processing_complete(Dev *dev);
EXPORT guint64 tcmu_dev_get_num_lbas(Dev *dev);
EXPORT guint32 tcmu_dev_get_block_size(Dev *dev);
EXPORT guint32 tcmu_dev_get_max_xfer_len(Dev *dev);
EXPORT void tcmu_dev_set_max_xfer_len(Dev *dev, guint32 blocks);
EXPORT void tcmu_dev_set_opt_unmap_gran(Dev *dev, guint32 blocks, bool split);
EXPORT void tcmu_dev_set_unmap_gran_align(Dev *dev, guint32 blocks);
EXPORT void tcmu_dev_set_write_cache_enabled(Dev *dev, bool enabled);
EXPORT void tcmu_dev_set_solid_state_media(Dev *dev, bool enabled);
EXPORT void tcmu_err_message(Dev *dev, const char *function, int line, const char *format, ...)
	G_GNUC_PRINTF(4, 5);
EXPORT void tcmu_warn_message(Dev *dev, const char *function, int line, const char *format, ...)
	G_GNUC_PRINTF(4, 5);
EXPORT void tcmu_info_message(Dev *dev, const char *function, int line, const char *format, ...)
	G_GNUC_PRINTF(4, 5);
EXPORT void tcmu_dbg_message(Dev *dev, const char *function, int line, const char *format, ...)
	G_GNUC_PRINTF(4, 5);

int tcmur_register_handler(Handler *handler)
{
	runner_handler = handler;
	return 0;
}

void tcmur_cmd_complete(Dev *dev, void *data, int status)
{
	Command *command;
	struct tcmulib_cmd *lib;

	memcpy(&lib, data, sizeof lib);
	command = lib->hm_private;
	CHECK(command->dev == dev);
	command->status = status;
	command->by = g_thread_self();
	if (command->done && command->done(command))
		return;
	g_mutex_lock(&lock);
	command->completed++;
	g_cond_broadcast(&completed);
	g_mutex_unlock(&lock);
}

void tcmu_notify_cmd_timed_out(Dev *dev)
{
	(void)dev;
}

void *tcmur_dev_get_private(Dev *dev)
{
	return dev->private_data;
}

void tcmur_dev_set_private(Dev *dev, void *data)
{
	dev->private_data = data;
}

char *tcmu_dev_get_cfgstring(Dev *dev)
{
	return dev->cfgstring;
}

int tcmu_dev_get_fd(Dev *dev)
{
	(void)dev;
	return DEVICE_FD;
}

void tcmulib_processing_complete(Dev *dev)
{
	(void)dev;
}

guint64 tcmu_dev_get_num_lbas(Dev *dev)
{
	return dev->num_lbas;
}

guint32 tcmu_dev_get_block_size(Dev *dev)
{
	return dev->block_size;
}

guint32 tcmu_dev_get_max_xfer_len(Dev *dev)
{
	return dev->max_xfer_len;
}

void tcmu_dev_set_max_xfer_len(Dev *dev, guint32 blocks)
{
	dev->max_xfer_len = blocks;
}

void tcmu_dev_set_opt_unmap_gran(Dev *dev, guint32 blocks, bool split)
{
	dev->opt_unmap_gran = blocks;
	dev->split_unmaps = split;
}

void tcmu_dev_set_unmap_gran_align(Dev *dev, guint32 blocks)
{
	dev->unmap_gran_align = blocks;
}

void tcmu_dev_set_write_cache_enabled(Dev *dev, bool enabled)
{
	dev->write_cache = enabled;
}

void tcmu_dev_set_solid_state_media(Dev *dev, bool enabled)
{
	dev->solid_state = enabled;
}

/* As the runner: into a buffer of 255 bytes, the newline being the caller's. */
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

char *runner_log_text(void)
{
	char *text;

	g_mutex_lock(&lock);
	text = g_strdup(log_text ? log_text->str : "");
	g_mutex_unlock(&lock);
	return text;
}

/* ---- the system's, as the plugin meets it */

EXPORT int fdatasync(int fd);

int fdatasync(int fd)
{
	int error = g_atomic_int_get(&fdatasync_error);

	g_atomic_int_inc(&fdatasync_calls);
	if (g_atomic_int_get(&fdatasync_delay))
		g_usleep((gulong)g_atomic_int_get(&fdatasync_delay));
	if (error) {
		errno = error;
		return -1;
	}
	return (int)syscall(SYS_fdatasync, fd);
}

EXPORT gint64 g_get_monotonic_time(void);

gint64 g_get_monotonic_time(void)
{
	struct timespec now;
	gboolean main_thread = getpid() == (pid_t)syscall(SYS_gettid);

	if (g_atomic_int_get(&clock_cancels))
		pthread_testcancel();
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (gint64)now.tv_sec * G_USEC_PER_SEC + now.tv_nsec / 1000 +
	       (main_thread ? 0 : g_atomic_int_get(&clock_skew) * G_USEC_PER_SEC);
}

EXPORT char *g_file_read_link(const char *path, GError **error);

char *g_file_read_link(const char *path, GError **error)
{
	(void)error;
	return g_strdup(strcmp(path, "/proc/self/fd/8765") ? "/dev/null" : "/dev/uio7");
}

EXPORT gboolean g_file_get_contents(const char *path, char **ret_text, gsize *ret_length,
				    GError **error);

gboolean g_file_get_contents(const char *path, char **ret_text, gsize *ret_length, GError **error)
{
	gboolean (*real)(const char *, char **, gsize *, GError **) = NULL;
	void *symbol = dlsym(RTLD_NEXT, "g_file_get_contents");

	if (!strcmp(path, "/sys/class/uio/uio7/name")) {
		*ret_text = g_strdup("tcm-user/3/name/storageos/some/thing\n");
		return TRUE;
	}
	if (!strcmp(path, "/sys/kernel/config/target/core/user_3/name/enable") && enabled_text) {
		*ret_text = g_strdup(enabled_text);
		return TRUE;
	}
	memcpy(&real, &symbol, sizeof real);
	return real(path, ret_text, ret_length, error);
}

/* ---- driving the plugin */

gboolean runner_load(const char *path)
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

void command_init(Command *command, Dev *dev, guint8 opcode, void *data, gsize length, gsize piece)
{
	struct tcmulib_cmd *lib = &command->lib;
	char *at = data;

	memset(command, 0, sizeof *command);
	memset(lib->sense_buf, 0xee, sizeof lib->sense_buf); /* malloc() does not clear either */
	command->dev = dev;
	command->cdb[0] = opcode;
	lib->cdb = command->cdb;
	lib->iovec = command->iov;
	lib->hm_private = command;
	for (piece = piece ? piece : length; length; lib->iov_cnt++) {
		struct iovec *iov = &command->iov[lib->iov_cnt];

		iov->iov_base = at;
		iov->iov_len = MIN(piece, length);
		at += iov->iov_len;
		length -= iov->iov_len;
	}
	/* Behind a CDB of 10 bytes. */
	command->handle = command->room + 10;
	memcpy(command->handle, &(void *){lib}, sizeof(void *));
}

int command_wait(Command *command)
{
	gint64 end = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;
	int status = -1;

	g_mutex_lock(&lock);
	while (!command->completed && g_cond_wait_until(&completed, &lock, end))
		;
	if (command->completed)
		status = command->status;
	g_mutex_unlock(&lock);
	return status;
}

int command_finish(Command *command, int answer)
{
	return answer ? answer : command_wait(command);
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

static guint64 command_lba(const Command *command)
{
	const guint8 *cdb = command->cdb;

	switch (cdb[0] >> 5) {
	case 0:
		return get_be(cdb + 1, 3) & 0x1fffff;
	case 4:
		return get_be(cdb + 2, 8);
	default:
		return get_be(cdb + 2, 4);
	}
}

/* The data path, for a command that handle_cmd left to it. */
static int dispatch(Command *c)
{
	off_t offset = (off_t)(command_lba(c) * c->dev->block_size);
	gsize length = iov_length(c->iov, (int)c->lib.iov_cnt);

	switch (c->cdb[0]) {
	case 0x08:
	case 0x28:
	case 0xa8:
	case 0x88:
		return runner_handler->read(c->dev, c->handle, c->iov, c->lib.iov_cnt, length,
					    offset);
	case 0x0a:
	case 0x2a:
	case 0xaa:
	case 0x8a:
		return runner_handler->write(c->dev, c->handle, c->iov, c->lib.iov_cnt, length,
					     offset);
	case 0x35:
	case 0x91:
		return runner_handler->flush(c->dev, c->handle);
	}
	return STS_INVALID;
}

int command_begin(Command *command)
{
	int answer = runner_handler->handle_cmd(command->dev, command->handle);

	return answer == STS_NOT_HANDLED ? dispatch(command) : answer;
}

int command_send(Command *command)
{
	return command_finish(command, command_begin(command));
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
