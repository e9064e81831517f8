/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storageos-fuse is started and ended again and again, each time in a process of its own.  The n-th
 * time, the n-th call that can fail is made to fail.  The server must serve, or report why it
 * cannot. It must leave no mount, and a volume that can be served.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/logging.h"
#include "common/base/units.h"
#include "fuse-fallback/mountpoint.h"
#include "fuse-fallback/serve.h"
#include "tests/engine/support.h"
#include "tests/faults/inject.h"

#define POINTS_MAX 2000
#define FEWER 3 /* a build with sanitizers tries one point in FEWER */
#define HANG_SECONDS 60
#define SIZE (16 * MIB)

typedef struct {
	Injection injection;
	gboolean invisible; /* the server must serve in spite of the fault */
	guint stride;	    /* one point in `stride` is tried, on average */
} ServerFault;

#define ALL_CALLS                                                                                  \
	(INJECT_OPEN | INJECT_READ | INJECT_WRITE | INJECT_FLUSH | INJECT_SPACE | INJECT_LOCK)

static const ServerFault faults[] = {
	{{"no memory once", INJECT_MEMORY, ENOMEM, FALSE}, FALSE, 1},
	{{"no memory for ever", INJECT_MEMORY, ENOMEM, TRUE}, FALSE, 3},
	{{"no thread once", INJECT_THREAD, EAGAIN, FALSE}, FALSE, 1},
	{{"no thread for ever", INJECT_THREAD, EAGAIN, TRUE}, FALSE, 2},
	{{"EMFILE once", INJECT_OPEN, EMFILE, FALSE}, FALSE, 1},
	{{"EIO once", ALL_CALLS & ~INJECT_OPEN, EIO, FALSE}, FALSE, 2},
	{{"ENOSPC for ever", INJECT_WRITE | INJECT_SPACE, ENOSPC, TRUE}, FALSE, 4},
	{{"EINTR once", ALL_CALLS & ~INJECT_OPEN, EINTR, FALSE}, TRUE, 3},
};

/* What the server's process reports at its end. */
typedef struct {
	guint64 calls, struck;
	gboolean served, explained, leaked;
} Report;

static Config *config;
static VolumeName *volume;
static char *mountpoint;
static guint64 starts, total;

/* Defined in builds with the address sanitizer. */
int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

static void no_log(LoggingLevel level, const char *line)
{
	(void)level, (void)line;
}

static guint64 step(TestRandom *random, const ServerFault *fault)
{
	guint stride = fault->stride;

	if (g_getenv("STORAGEOS_TEST_LONG"))
		return 1;
	if (test_is_instrumented() && !(fault->injection.kinds & (INJECT_MEMORY | INJECT_THREAD)))
		stride *= FEWER;
	return 1 + test_random_below(random, 2 * stride - 1);
}

static gboolean on_ready(void)
{
	return !kill(getpid(), SIGTERM);
}

/* The server's process: serves, and reports to the descriptor `to`. */
G_GNUC_NORETURN static void serve_and_tell(const ServerFault *fault, guint64 point, int to)
{
	const ServeRequest request = {config, volume, mountpoint, on_ready, NULL, FALSE};
	GError *error = NULL;
	Report report = {0};

	test_alarm(HANG_SECONDS, "the life of a server");
	inject_begin(&fault->injection, point);
	report.struck = inject_total();
	report.served = serve(&request, &error);
	report.calls = inject_end();
	report.struck = inject_total() - report.struck;
	report.explained = error && error->domain == STORAGEOS_ERROR && *error->message;
	g_clear_error(&error);
	report.leaked = __lsan_do_recoverable_leak_check && __lsan_do_recoverable_leak_check();
	_exit(write(to, &report, sizeof report) != sizeof report);
}

static gboolean start_server(const ServerFault *fault, guint64 point, Report *ret_report)
{
	int fds[2], status = 0;
	gboolean told;
	pid_t child;

	if (!CHECK(!pipe2(fds, O_CLOEXEC)))
		return FALSE;
	fflush(stdout);
	child = fork();
	if (!child)
		serve_and_tell(fault, point, fds[1]);
	close(fds[1]);
	told = read(fds[0], ret_report, sizeof *ret_report) == sizeof *ret_report;
	close(fds[0]);
	CHECK(child > 0 && waitpid(child, &status, 0) == child);
	return told || FAIL("the server's process ended with status 0x%x", status);
}

static gboolean is_mounted(void)
{
	g_autofree char *mounts = NULL;

	return g_file_get_contents("/proc/self/mounts", &mounts, NULL, NULL) &&
	       strstr(mounts, mountpoint);
}

static void check_volume(void)
{
	g_autoptr(GError) error = NULL;
	Volume *opened = pool_volume_open(config, volume, 0, &error);

	CHECK_NO_ERROR(error);
	REQUIRE(opened != NULL);
	check_value(opened, 1, SIZE / 2, 0);
	close_volume(opened);
}

static gboolean serve_once(const ServerFault *fault, guint64 point)
{
	Report report = {0};

	test_row("%s at call %" G_GUINT64_FORMAT, fault->injection.name, point);
	if (!start_server(fault, point, &report))
		return FALSE;
	CHECK(report.served || report.explained);
	CHECK(report.served || (report.struck && !fault->invisible));
	CHECK(!report.leaked);
	if (!CHECK(!is_mounted()))
		mountpoint_clear(mountpoint);
	check_volume();
	starts++;
	total += report.struck;
	return report.calls > point;
}

static void test_start(const void *data)
{
	const ServerFault *fault = data;
	TestRandom random = test_random_new(test_seed());
	guint64 point = step(&random, fault) - 1, before = starts, before_total = total;

	if (access("/dev/fuse", R_OK | W_OK) || geteuid()) {
		test_skip("FUSE and root are needed to serve");
		return;
	}
	while (point < POINTS_MAX && !test_failed() && serve_once(fault, point))
		point += step(&random, fault);
	CHECK(point < POINTS_MAX);
	test_note("%" G_GUINT64_FORMAT " starts, %" G_GUINT64_FORMAT " faults", starts - before,
		  total - before_total);
}

static gboolean prepare(void)
{
	const VolumeParameters parameters = {.size = SIZE, .journal_size = MIB};
	g_autofree char *file = test_path("conf"), *pool = test_path("pool"),
			*run = test_path("run"), *state = test_path("state"), *text = NULL;
	Volume *opened;

	text = g_strdup_printf("[storageos]\nrun_directory=%s\nstate_directory=%s\n"
			       "[pool default]\npath=%s\n",
			       run, state, pool);
	mountpoint = test_path("mount");
	if (!g_file_set_contents(file, text, -1, NULL) || !pool_mark("default", pool, NULL, NULL) ||
	    g_mkdir_with_parents(mountpoint, 0700))
		return FALSE;
	config = config_load(file, NULL);
	volume = volume_name_parse("db", NULL);
	if (!config || !pool_volume_create(config, volume, &parameters, 0, NULL))
		return FALSE;
	opened = pool_volume_open(config, volume, 0, NULL);
	if (!opened)
		return FALSE;
	return !volume_put_value(opened, 1, SIZE / 2, 0) && volume_close(opened, NULL);
}

int main(int argc, char **argv)
{
	int result;

	logging_set_sink(no_log);
	if (!prepare()) {
		printf("Bail out! no volume\n");
		return 1;
	}
	for (guint i = 0; i < G_N_ELEMENTS(faults); i++) {
		g_autofree char *name = g_strdup_printf("serve: %s", faults[i].injection.name);

		test_add(name, test_start, &faults[i]);
	}
	result = test_run(argc, argv);
	config_free(config);
	volume_name_free(volume);
	g_free(mountpoint);
	return result;
}
