/* SPDX-License-Identifier: Apache-2.0 */
#include "common/service/monitor.h"

#include "common/base/error.h"
#include "common/base/units.h"
#include "common/check/scrub.h"
#include "common/engine/volume-properties.h"
#include "common/engine/volume-snapshots.h"
#include "common/service/control-address.h"
#include "common/service/control-call.h"
#include "tests/unit/pools.h"

#define SIZE (4 * MIB)
#define PATIENCE 10 /* seconds for an answer */

/* A served volume with its monitor. */
typedef struct {
	Config *config;
	VolumeName name;
	Volume *volume;
	Metrics metrics;
	Monitor *monitor;
} Watched;

static gboolean watched_open(Watched *watched)
{
	const VolumeParameters parameters = {.size = SIZE};
	g_autoptr(GError) error = NULL;

	*watched = (Watched){.config = new_config(TRUE),
			     .name = {.pool = (char *)"p", .name = (char *)"v"}};
	CHECK(pool_volume_create(watched->config, &watched->name, &parameters, 0, NULL));
	watched->volume = pool_volume_serve(watched->config, &watched->name, 0, NULL, &error);
	CHECK_NO_ERROR(error);
	if (!watched->volume)
		return FALSE;
	watched->monitor = monitor_new(watched->config, &watched->name, "tcmu", watched->volume,
				       &watched->metrics, NULL);
	return CHECK(watched->monitor != NULL);
}

static void watched_close(Watched *watched)
{
	monitor_free(watched->monitor);
	volume_close(watched->volume, NULL);
	config_free(watched->config);
}

/* Sends {"command": command, key: value}; `key` NULL: only the command. */
static Json *ask(const Watched *watched, const char *command, const char *key, Json *value,
		 GError **error)
{
	g_autofree char *name = control_name(&watched->name);
	g_autoptr(Json) request = json_object_new_object();

	json_add_text(request, "command", command);
	if (key)
		json_object_object_add(request, key, value);
	return control_call(watched->config, name, request, PATIENCE, error);
}

static Json *ask_scrub(const Watched *watched, const char *action, GError **error)
{
	return ask(watched, "scrub", "action", json_object_new_string(action), error);
}

static gboolean write_block(Volume *volume, guint64 offset)
{
	char data[BLOCK_SIZE];
	struct iovec iov = {data, sizeof data};

	memset(data, 'x', sizeof data);
	return CHECK_INT(volume_write(volume, &iov, 1, offset, NULL), 0);
}

static gint64 number_in(Json *answer, const char *object, const char *key)
{
	return json_get_number(json_get_object(answer, object), key);
}

static void test_stats(const void *data)
{
	static const char *const objects[] = {"operations", "space", "cache", "journal", "scrub"};
	g_autoptr(GError) error = NULL;
	g_autoptr(Json) answer = NULL;
	Watched watched;
	VolumeInfo info;
	gint64 begun;

	(void)data;
	REQUIRE(watched_open(&watched));
	write_block(watched.volume, 0);
	begun = metrics_begin(&watched.metrics);
	metrics_end(&watched.metrics, METRICS_WRITE, begun, BLOCK_SIZE, FALSE);
	metrics_begin(&watched.metrics);
	volume_get_info(watched.volume, &info);
	answer = ask(&watched, "stats", NULL, NULL, &error);
	CHECK_NO_ERROR(error);
	CHECK_STR(json_get_text(answer, "volume"), "p/v");
	CHECK_STR(json_get_text(answer, "uuid"), info.uuid);
	CHECK_STR(json_get_text(answer, "frontend"), "tcmu");
	CHECK_STR(json_get_text(answer, "state"), "ok");
	CHECK(!json_get_text(answer, "failure"));
	CHECK_INT(json_get_number(answer, "pid"), getpid());
	CHECK_UINT((guint64)json_get_number(answer, "inode"), info.place.inode);
	CHECK_INT(json_get_number(answer, "in_flight"), 1);
	for (guint i = 0; i < G_N_ELEMENTS(objects); i++)
		CHECK(json_get_object(answer, objects[i]));
	CHECK_INT(number_in(json_get_object(answer, "operations"), "write", "count"), 1);
	CHECK_INT(number_in(json_get_object(answer, "operations"), "read", "count"), 0);
	CHECK_INT(number_in(answer, "space", "size"), SIZE);
	CHECK_INT(number_in(answer, "space", "data"), BLOCK_SIZE);
	CHECK_INT(number_in(answer, "scrub", "time"), 0);
	watched_close(&watched);
}

static void test_scrub(const void *data)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Json) none = NULL, begun = NULL, ended = NULL;
	Watched watched;

	(void)data;
	REQUIRE(watched_open(&watched));
	write_block(watched.volume, MIB);
	none = ask_scrub(&watched, "status", &error);
	CHECK_NO_ERROR(error);
	CHECK_INT(json_object_object_length(none), 0); /* there was no scrub yet */
	begun = ask_scrub(&watched, "start", &error);
	CHECK_NO_ERROR(error);
	CHECK(json_get_flag(begun, "started"));
	CHECK_INT(json_get_number(begun, "rate"), SCRUB_RATE);
	do {
		if (ended)
			json_object_put(ended);
		g_usleep(10000);
		ended = ask_scrub(&watched, "status", &error);
	} while (ended && json_get_flag(ended, "running"));
	CHECK_NO_ERROR(error);
	CHECK(json_get_flag(ended, "complete"));
	CHECK_INT(json_get_number(ended, "blocks"), 1);
	CHECK_INT(json_get_number(ended, "errors"), 0);
	CHECK_UINT(json_object_array_length(json_get_list(ended, "lost")), 0);
	watched_close(&watched);
}

static void test_scrub_refused(const void *data)
{
	g_autoptr(GError) idle = NULL, unknown = NULL, missing = NULL;
	Watched watched;

	(void)data;
	REQUIRE(watched_open(&watched));
	CHECK(!ask_scrub(&watched, "stop", &idle));
	CHECK_ERROR(idle, STORAGEOS_ERROR_INVALID, NULL);
	CHECK(!ask_scrub(&watched, "pause", &unknown));
	CHECK_ERROR(unknown, STORAGEOS_ERROR_INVALID, "start, stop or status");
	CHECK(!ask(&watched, "scrub", NULL, NULL, &missing));
	CHECK_ERROR(missing, STORAGEOS_ERROR_INVALID, "start, stop or status");
	watched_close(&watched);
}

static void test_resize(const void *data)
{
	g_autoptr(GError) error = NULL, smaller = NULL, missing = NULL;
	g_autoptr(Json) answer = NULL;
	Watched watched;

	(void)data;
	REQUIRE(watched_open(&watched));
	answer = ask(&watched, "resize", "size", json_object_new_int64(2 * SIZE), &error);
	CHECK_NO_ERROR(error);
	CHECK_INT(json_get_number(answer, "before"), SIZE);
	CHECK_INT(json_get_number(answer, "size"), 2 * SIZE);
	CHECK(json_get_flag(answer, "done"));
	CHECK_STR(json_get_text(answer, "frontend"), "tcmu");
	CHECK_UINT(volume_size(watched.volume), 2 * SIZE);
	CHECK(!ask(&watched, "resize", "size", json_object_new_int64(SIZE), &smaller));
	CHECK(smaller);
	CHECK(!ask(&watched, "resize", NULL, NULL, &missing));
	CHECK(missing);
	CHECK_UINT(volume_size(watched.volume), 2 * SIZE);
	watched_close(&watched);
}

/* Takes a snapshot by the socket, and waits until it is durable. */
static void take_snapshot(const Watched *watched, const char *name)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Json) begun =
		ask(watched, "snapshot-begin", "name", json_object_new_string(name), &error);
	gboolean done = FALSE;

	CHECK_NO_ERROR(error);
	while (begun && !done && !error) {
		g_autoptr(Json) answer =
			ask(watched, "snapshot-wait", "generation",
			    json_object_new_int64(json_get_number(begun, "generation")), &error);

		CHECK_NO_ERROR(error);
		done = json_get_flag(answer, "done");
	}
}

static void test_snapshots(const void *data)
{
	g_autoptr(GError) taken = NULL, gone = NULL, nameless = NULL, error = NULL;
	g_autoptr(Json) list = NULL, deleted = NULL, stats = NULL;
	Watched watched;
	Json *first;

	(void)data;
	REQUIRE(watched_open(&watched));
	write_block(watched.volume, 0);
	take_snapshot(&watched, "first");
	take_snapshot(&watched, "second");
	CHECK(!ask(&watched, "snapshot-begin", "name", json_object_new_string("first"), &taken));
	CHECK_ERROR(taken, STORAGEOS_ERROR_INVALID, "first");
	CHECK(!ask(&watched, "snapshot-begin", NULL, NULL, &nameless));
	CHECK_ERROR(nameless, STORAGEOS_ERROR_INVALID, "`name` is missing");
	list = ask(&watched, "snapshot-list", NULL, NULL, &error);
	CHECK_NO_ERROR(error);
	REQUIRE(CHECK_UINT(json_object_array_length(json_get_list(list, "snapshots")), 2));
	first = json_object_array_get_idx(json_get_list(list, "snapshots"), 0);
	CHECK_STR(json_get_text(first, "name"), "first");
	CHECK_STR(json_get_text(first, "state"), "ok");
	CHECK_INT(json_get_number(first, "size"), SIZE);
	CHECK(!json_get_flag(first, "frozen") && !json_get_flag(first, "by_policy"));
	stats = ask(&watched, "stats", NULL, NULL, NULL);
	CHECK_INT(number_in(stats, "snapshots", "count"), 2);
	CHECK(number_in(stats, "snapshots", "newest") > 0);
	deleted = ask(&watched, "snapshot-delete", "name", json_object_new_string("first"), &error);
	CHECK(deleted);
	CHECK_NO_ERROR(error);
	CHECK(!ask(&watched, "snapshot-delete", "name", json_object_new_string("first"), &gone));
	CHECK_ERROR(gone, STORAGEOS_ERROR_INVALID, "no snapshot 'first'");
	watched_close(&watched);
}

static void test_gate(const void *data)
{
	g_autoptr(GError) closed = NULL, unknown = NULL, error = NULL;
	g_autoptr(Json) first = NULL;
	Watched watched;

	(void)data;
	REQUIRE(watched_open(&watched));
	first = ask(&watched, "snapshot-gate", "action", json_object_new_string("close"), &error);
	CHECK_NO_ERROR(error);
	CHECK(!ask(&watched, "snapshot-gate", "action", json_object_new_string("close"), &closed));
	CHECK_ERROR(closed, STORAGEOS_ERROR_INVALID, "another group");
	CHECK(!ask(&watched, "snapshot-gate", "action", json_object_new_string("lock"), &unknown));
	CHECK_ERROR(unknown, STORAGEOS_ERROR_INVALID, "close or open");
	CHECK(volume_gate_open(watched.volume, (guint64)json_get_number(first, "ticket")));
	watched_close(&watched);
}

static void test_unknown_command(const void *data)
{
	g_autoptr(GError) error = NULL;
	Watched watched;

	(void)data;
	REQUIRE(watched_open(&watched));
	CHECK(!ask(&watched, "stat", NULL, NULL, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_INVALID, "'stat'");
	watched_close(&watched);
}

static void test_freed_monitor_answers_nobody(const void *data)
{
	g_autoptr(GError) error = NULL;
	Watched watched;

	(void)data;
	REQUIRE(watched_open(&watched));
	g_clear_pointer(&watched.monitor, monitor_free);
	CHECK(!ask(&watched, "stats", NULL, NULL, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_NOT_FOUND, NULL);
	monitor_free(NULL);
	watched_close(&watched);
}

/* Sends the text of a `properties` object. */
static Json *ask_set(const Watched *watched, const char *properties, GError **error)
{
	return ask(watched, "set", "properties", json_tokener_parse(properties), error);
}

static void test_set(const void *data)
{
	g_autoptr(GError) error = NULL, missing = NULL;
	g_autoptr(Json) first = NULL, second = NULL;
	Properties properties;
	Watched watched;

	(void)data;
	REQUIRE(watched_open(&watched));
	first = ask_set(&watched, "{\"label.a\": \"1\", \"later.key\": \"x\"}", &error);
	CHECK_NO_ERROR(error);
	CHECK_INT(json_object_object_length(json_get_object(first, "before")), 0);
	second = ask_set(&watched, "{\"label.a\": \"\", \"label.b\": \"2\"}", &error);
	CHECK_NO_ERROR(error);
	CHECK_STR(json_get_text(json_get_object(second, "before"), "label.a"), "1");
	CHECK_STR(json_get_text(json_get_object(second, "properties"), "later.key"), "x");
	CHECK(!ask_set(&watched, "{\"label.b\": \"3\", \"Label\": \"4\"}", &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_INVALID, "invalid property 'Label'");
	g_clear_error(&error);
	CHECK(!ask_set(&watched, "{\"label.b\": 3}", &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_INVALID, "`label.b` is no text");
	CHECK(!ask(&watched, "set", NULL, NULL, &missing));
	CHECK_ERROR(missing, STORAGEOS_ERROR_INVALID, "`properties` is missing");
	volume_get_properties(watched.volume, &properties);
	CHECK_STR(properties.text, "label.b=2\nlater.key=x\n");
	watched_close(&watched);
}

int main(int argc, char **argv)
{
	test_add("stats has the identity, the front end's counters and the engine's", test_stats,
		 NULL);
	test_add("a scrub is started, watched and reported", test_scrub, NULL);
	test_add("a scrub's action must be known, and stop needs one", test_scrub_refused, NULL);
	test_add("a volume grows, and never shrinks", test_resize, NULL);
	test_add("properties are set, all or none", test_set, NULL);
	test_add("snapshots are taken, listed and deleted", test_snapshots, NULL);
	test_add("a gate is closed by one client at a time", test_gate, NULL);
	test_add("an unknown command is refused by name", test_unknown_command, NULL);
	test_add("a freed monitor answers nobody", test_freed_monitor_answers_nobody, NULL);
	return test_run(argc, argv);
}
