/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/handler/fixture.h"

#include <errno.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/thread.h"
#include "common/service/control-address.h"
#include "common/service/control-call.h"
#include "common/service/pool.h"
#include "tests/harness.h"

static char *pool, *state;

static gboolean setup_pool(void)
{
	g_autofree char *config = test_path(".conf");
	g_autofree char *text = NULL, *run = NULL;

	pool = test_path(".pool");
	run = test_path(".run");
	state = test_path(".state");
	text = g_strdup_printf("[storageos]\nrun_directory=%s\nstate_directory=%s\n"
			       "[pool default]\npath=%s\n",
			       run, state, pool);
	g_setenv("STORAGEOS_CONFIG", config, TRUE);
	return g_file_set_contents(config, text, -1, NULL) &&
	       pool_mark("default", pool, NULL, NULL);
}

void dev_init(Dev *dev, const char *cfgstring, guint64 size)
{
	*dev = (Dev){.num_lbas = size / 512, .block_size = 512, .max_xfer_len = 128};
	g_strlcpy(dev->cfgstring, cfgstring, sizeof dev->cfgstring);
}

/* A volume of the test's own.  The plugin waits 3 or 10 s for it, too short for a busy machine. */
gboolean dev_open(Dev *dev, const char *name)
{
	g_autofree char *cfgstring = g_strdup_printf("storageos/%s;create", name);
	const gint64 end = g_get_monotonic_time() + test_time_limit(10);
	int result;

	dev_init(dev, cfgstring, SIZE);
	/* -EBUSY: by the first try, which goes on. */
	while (((result = dev_add(dev)) == -EIO || result == -EBUSY) &&
	       log_has("is still being opened") && g_get_monotonic_time() < end)
		g_usleep(G_USEC_PER_SEC / 10);
	return CHECK_INT(result, 0);
}

gboolean dev_becomes_ready(Dev *dev)
{
	const gint64 end = g_get_monotonic_time() + test_time_limit(10);
	guint8 block[512];

	while (g_get_monotonic_time() < end) {
		if (run_read(dev, block, sizeof block, 0) == STS_OK)
			return TRUE;
		g_usleep(100000);
	}
	return FALSE;
}

gboolean log_has(const char *text)
{
	g_autofree char *log = host_log_text();

	return strstr(log, text) != NULL;
}

gboolean fixture_init(int argc, char **argv)
{
	if (argc < 2 || !host_load(argv[1]) || !setup_pool()) {
		printf("Bail out! no plugin, or no pool\n");
		return FALSE;
	}
	argv[1] = argv[0];
	return TRUE;
}

char *fixture_path(const char *name, const char *suffix)
{
	return g_strdup_printf("%s/%s%s", pool, name, suffix);
}

void fixture_forget(const char *name)
{
	g_autofree char *path = fixture_path(name, ".vol");
	g_autofree char *entry = g_strdup_printf("%s/registry/default:%s", state, name);

	unlink(path);
	unlink(entry);
}

Json *fixture_ask(const char *volume, Json *request)
{
	g_autoptr(Config) config = config_load(NULL, NULL);
	g_autoptr(VolumeName) name = volume_name_parse(volume, NULL);
	g_autofree char *socket = control_name(name);
	g_autoptr(GError) error = NULL;
	Json *answer = control_call(config, socket, request, 20, &error);

	CHECK_NO_ERROR(error);
	return answer;
}

void fixture_set(const char *volume, ...)
{
	g_autoptr(Json) request = json_object_new_object();
	g_autoptr(Json) answer = NULL;
	Json *properties = json_object_new_object();
	const char *key;
	va_list args;

	json_add_text(request, "command", "set");
	json_object_object_add(request, "properties", properties);
	va_start(args, volume);
	while ((key = va_arg(args, const char *)))
		json_add_text(properties, key, va_arg(args, const char *));
	va_end(args);
	answer = fixture_ask(volume, request);
}

gint64 fixture_awaiting_end(void)
{
	gboolean certain =
		thread_processors() > 1 && !test_is_instrumented() && test_time_factor() <= 1;

	return g_get_monotonic_time() + (certain ? 60 : 3) * G_USEC_PER_SEC;
}

guint command_sense(const Command *command)
{
	const guint8 *sense = command->sense;

	if ((sense[0] & 0x7f) == 0x72)
		return (guint)(sense[1] << 16 | sense[2] << 8 | sense[3]);
	return (guint)(sense[2] << 16 | sense[12] << 8 | sense[13]);
}

static gboolean is_being_left(void)
{
	g_autoptr(GDir) tasks = g_dir_open("/proc/self/task", 0, NULL);
	gboolean found = FALSE;
	const char *id;

	while ((id = g_dir_read_name(tasks))) {
		g_autofree char *path = g_strdup_printf("/proc/self/task/%s/comm", id);
		g_autofree char *name = NULL;

		found |= g_file_get_contents(path, &name, NULL, NULL) &&
			 g_str_has_prefix(name, "storageos-");
	}
	return found;
}

pid_t fixture_fork(void)
{
	WAIT_WITHIN(10, !is_being_left());
	return fork();
}
