/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How full a pool is, its quota, its marks and events, and the limit of a backing.
 */
#include "common/service/pool-space.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/logging.h"
#include "common/base/units.h"
#include "common/service/config-edit.h"
#include "common/service/pool-event.h"
#include "common/service/pool-watch.h"
#include "common/service/pool.h"
#include "tests/harness.h"

static gint lines; /* that were logged; atomic */

static void line_count(LoggingLevel level, const char *line)
{
	(void)level, (void)line;
	g_atomic_int_inc(&lines);
}

/* A pool `p` with these lines in its group; free the result. */
static Config *pool_make(const char *keys)
{
	g_autofree char *text = NULL, *pool = test_path(".pool"), *run = test_path(".run");
	g_autofree char *file = test_path(".conf");
	g_autoptr(GError) error = NULL;
	Config *config;

	text = g_strdup_printf("[storageos]\nrun_directory=%s\n[pool p]\npath=%s\n%s", run, pool,
			       keys);
	CHECK(g_file_set_contents(file, text, -1, NULL));
	CHECK(pool_mark("p", pool, NULL, NULL));
	config = config_load(file, &error);
	CHECK_NO_ERROR(error);
	return config;
}

static void file_make(const ConfigPool *pool, const char *name, gsize bytes)
{
	g_autofree char *path = g_build_filename(pool->path, name, NULL);
	g_autofree char *data = g_strnfill(bytes, 'x');

	CHECK(g_file_set_contents(path, data, (gssize)bytes, NULL));
}

static void test_no_quota(const void *data)
{
	g_autoptr(Config) config = pool_make("");
	const ConfigPool *pool = config_find_pool(config, "p");
	struct statvfs fs;
	PoolSpace space;

	(void)data;
	REQUIRE(pool_space_read(pool, &space, NULL) && !statvfs(pool->path, &fs));
	CHECK_UINT(space.size, (guint64)fs.f_blocks * fs.f_frsize);
	CHECK(space.left == G_MAXINT64);
}

static void test_quota(const void *data)
{
	g_autoptr(Config) config = pool_make("quota=8M\n");
	const ConfigPool *pool = config_find_pool(config, "p");
	g_autofree char *link = g_build_filename(pool->path, "c.vol", NULL);
	PoolSpace space;

	(void)data;
	file_make(pool, "a.vol", 2 * MIB);
	file_make(pool, ".b.vol.0123456789abcdef.new", MIB);
	CHECK_INT(symlink("/dev/zero", link), 0);
	REQUIRE(pool_space_read(pool, &space, NULL));
	CHECK_UINT(space.size, 8 * MIB);
	CHECK(space.left > (gint64)(4 * MIB) && space.left <= (gint64)(5 * MIB));
	CHECK_UINT(space.free, (guint64)space.left);
	test_row("exceeded");
	file_make(pool, "d.vol", 7 * MIB);
	REQUIRE(pool_space_read(pool, &space, NULL));
	CHECK(space.left < 0);
	CHECK_UINT(space.free, 0);
	CHECK_UINT(pool_space_percent(space.size, space.free), 100);
}

static void test_percent(const void *data)
{
	(void)data;
	CHECK_UINT(pool_space_percent(1000, 1000), 0);
	CHECK_UINT(pool_space_percent(1000, 201), 79);
	CHECK_UINT(pool_space_percent(1000, 200), 80);
	CHECK_UINT(pool_space_percent(1000, 2000), 0);
	CHECK_UINT(pool_space_percent(G_MAXUINT64, 0), 100);
	CHECK_UINT(pool_space_percent(0, 0), 0);
}

static void test_marks(const void *data)
{
	static const struct {
		guint percent, before, mark;
	} rows[] = {
		{79, 0, 0},   {80, 0, 80},  {89, 80, 80}, {90, 80, 90}, {100, 80, 95},
		{88, 90, 90}, {87, 90, 80}, {78, 80, 80}, {77, 80, 0},	{0, 95, 0},
		{93, 95, 95}, {92, 95, 90}, {95, 95, 95}, {85, 50, 80},
	};
	const ConfigMarks marks = {3, {80, 90, 95}}, none = {0};

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		test_row("%u %%, %u before", rows[i].percent, rows[i].before);
		CHECK_UINT(pool_event_mark(&marks, rows[i].percent, rows[i].before), rows[i].mark);
	}
	CHECK_UINT(pool_event_mark(&none, 100, 0), 0);
	CHECK_UINT(pool_event_mark(&none, 100, 80), 0);
}

static void event_note(const Config *config, guint percent)
{
	const PoolSpace space = {.size = 100, .free = 100 - percent};
	g_autoptr(GError) error = NULL;

	CHECK(pool_event_note(config, config_find_pool(config, "p"), &space, &error));
	CHECK_NO_ERROR(error);
}

static guint events_waiting(const Config *config)
{
	g_autoptr(GPtrArray) pools = pool_event_list(config);

	return pools->len;
}

static void test_events(const void *data)
{
	g_autoptr(Config) config = pool_make("warn=50,90\n");
	g_autoptr(PoolEvent) first = NULL, second = NULL, none = NULL;
	g_autoptr(GError) error = NULL;

	(void)data;
	g_atomic_int_set(&lines, 0);
	event_note(config, 49);
	CHECK_UINT(events_waiting(config), 0);
	event_note(config, 51);
	event_note(config, 52); /* as another process would */
	CHECK_INT(g_atomic_int_get(&lines), 1);
	CHECK_UINT(events_waiting(config), 1);
	first = pool_event_take(config, "p", &error);
	REQUIRE(CHECK_NO_ERROR(error) && first);
	CHECK_UINT(first->mark, 50);
	CHECK_UINT(first->before, 0);
	CHECK_UINT(first->percent, 51);
	CHECK_UINT(first->free, 49);
	CHECK_UINT(events_waiting(config), 0);
	none = pool_event_take(config, "p", &error);
	CHECK_ERROR(error, STORAGEOS_ERROR_NOT_FOUND, NULL);
	test_row("two events before the first one is taken");
	event_note(config, 95);
	event_note(config, 10);
	CHECK_INT(g_atomic_int_get(&lines), 3);
	second = pool_event_take(config, "p", NULL);
	REQUIRE(second);
	CHECK_UINT(second->mark, 0);
	CHECK_UINT(second->before, 90);
	test_row("a pool that is gone");
	event_note(config, 95);
	pool_event_forget(config, "p");
	CHECK_UINT(events_waiting(config), 0);
}

/* ---- the limit of a backing */

static int write_at(Backing *backing, guint64 offset)
{
	static const char data[4096] = {1};

	return backing_pwrite(backing, data, sizeof data, offset);
}

static void test_limit(const void *data)
{
	g_autofree char *path = test_path(".file");
	g_autoptr(Backing) backing = backing_open(path, BACKING_OPEN_CREATE, NULL);
	struct iovec iov = {(char[512]){0}, 512};
	gint64 room = G_MAXINT64;

	(void)data;
	REQUIRE(backing);
	backing_limit(backing, &room);
	CHECK_INT(backing_grow(backing, MIB), 0);
	CHECK_INT(write_at(backing, 0), 0);
	CHECK(room == G_MAXINT64);
	room = 8192;
	test_row("what has space needs none");
	CHECK_INT(write_at(backing, 0), 0);
	CHECK_INT((int)room, 8192);
	test_row("what has none takes room");
	CHECK_INT(write_at(backing, 8192), 0);
	CHECK_INT((int)room, 4096);
	CHECK_INT(write_at(backing, 65536), 0);
	CHECK_INT(write_at(backing, 131072), -ENOSPC);
	CHECK_INT((int)room, 0);
	CHECK_INT(write_at(backing, 65536), 0);
	CHECK_UINT(backing_available(backing), 0);
	CHECK_INT(backing_pwritev(backing, &iov, 1, 65536, BACKING_NOWAIT), -EAGAIN);
	test_row("there is room again");
	room = 4096;
	CHECK_INT(write_at(backing, 131072), 0);
}

static gboolean room_is(PoolWatch *watch, gboolean some)
{
	g_autofree char *path = test_path(".probe");
	g_autoptr(Backing) backing = backing_open(path, BACKING_OPEN_CREATE, NULL);

	pool_watch_limit(watch, backing);
	return backing && !backing_grow(backing, MIB) && (write_at(backing, 0) == 0) == some;
}

static gboolean quota_set(const Config *config, const char *pool, const char *value, GError **error)
{
	const ConfigKey key = {"quota", value};

	return config_set_pool_keys(config, pool, &key, 1, error);
}

static void test_watch(const void *data)
{
	g_autoptr(Config) config = pool_make("quota=2M\nwarn=50\n");
	const ConfigPool *pool = config_find_pool(config, "p");
	g_autoptr(PoolWatch) one = NULL, two = NULL;
	g_autoptr(GError) error = NULL;

	(void)data;
	file_make(pool, "a.vol", 4 * MIB);
	one = pool_watch_join(config, pool, &error);
	two = pool_watch_join(config, pool, &error);
	REQUIRE(CHECK_NO_ERROR(error) && one);
	CHECK(one == two);
	test_row("from the first moment");
	CHECK(room_is(one, FALSE));
	CHECK_UINT(events_waiting(config), 1);
	test_row("a quota that is changed");
	CHECK(quota_set(config, "p", "1G", &error));
	CHECK_NO_ERROR(error);
	WAIT_WITHIN(10, room_is(one, TRUE));
}

static void test_set_key(const void *data)
{
	g_autoptr(Config) config = pool_make("# mine\nquota=2M\n[policy x]\nhourly=2\n");
	const ConfigKey bad[] = {{"warn", "70"}, {"quota", "much"}};
	g_autoptr(GError) error = NULL, invalid = NULL, missing = NULL, several = NULL;
	g_autofree char *before = NULL, *after = NULL, *both = NULL, *last = NULL;

	(void)data;
	CHECK(g_file_get_contents(config->file, &before, NULL, NULL));
	test_row("an invalid value changes nothing");
	CHECK(!quota_set(config, "p", "much", &invalid));
	CHECK_ERROR(invalid, STORAGEOS_ERROR_INVALID, "'much' is not a size");
	CHECK(!quota_set(config, "q", "2M", &missing));
	CHECK_ERROR(missing, STORAGEOS_ERROR_NOT_FOUND, "no pool 'q'");
	CHECK(g_file_get_contents(config->file, &after, NULL, NULL));
	CHECK_STR(after, before);
	test_row("of several, one that is invalid changes none");
	CHECK(!config_set_pool_keys(config, "p", bad, 2, &several));
	CHECK_ERROR(several, STORAGEOS_ERROR_INVALID, "quota");
	CHECK(g_file_get_contents(config->file, &both, NULL, NULL));
	CHECK_STR(both, before);
	test_row("all else stays");
	CHECK(quota_set(config, "p", "3M", &error));
	CHECK(quota_set(config, "p", NULL, &error));
	CHECK_NO_ERROR(error);
	CHECK(g_file_get_contents(config->file, &last, NULL, NULL));
	CHECK(!strstr(last, "quota"));
	CHECK_CONTAINS(last, "# mine\n[policy x]\nhourly=2\n");
}

int main(int argc, char **argv)
{
	logging_set_sink(line_count);
	test_add("without a quota the file system counts", test_no_quota, NULL);
	test_add("a quota is what all files of the pool may take", test_quota, NULL);
	test_add("how full it is, rounded down", test_percent, NULL);
	test_add("a mark is passed upwards at once, downwards with slack", test_marks, NULL);
	test_add("each crossing is one event, of one process", test_events, NULL);
	test_add("a limited backing is full where a write needs new space", test_limit, NULL);
	test_add("those who serve follow the quota", test_watch, NULL);
	test_add("a key of a pool is set, everything else is kept", test_set_key, NULL);
	return test_run(argc, argv);
}
