/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin PLUGIN [WORD...]: a device is attached, used and detached again and again, with a new
 * volume each time.  The n-th time, the n-th call that can fail is made to fail.  The process
 * belongs to others, so it must live on, and must keep no descriptor and no thread of the plugin.
 */
#include <errno.h>
#include <unistd.h>

#include "tests/faults/inject.h"
#include "tests/handler/fixture.h"
#include "tests/harness.h"

#define POINTS_MAX 2000
#define FEWER 3 /* a build with sanitizers tries one point in FEWER */
#define READY_SECONDS 20

typedef struct {
	Injection injection;
	int answers[3]; /* negative errnos with which an open may be refused; 0 ends the list */
	guint stride;	/* one point in `stride` is tried, on average */
} PluginFault;

#define ALL_CALLS                                                                                  \
	(INJECT_OPEN | INJECT_READ | INJECT_WRITE | INJECT_FLUSH | INJECT_SPACE | INJECT_LOCK)

static const PluginFault faults[] = {
	{{"no memory once", INJECT_MEMORY, ENOMEM, FALSE}, {-ENOSPC}, 1},
	{{"no memory for ever", INJECT_MEMORY, ENOMEM, TRUE}, {-ENOSPC}, 3},
	{{"no thread once", INJECT_THREAD, EAGAIN, FALSE}, {-EIO}, 1},
	{{"no thread for ever", INJECT_THREAD, EAGAIN, TRUE}, {-EIO}, 1},
	{{"EMFILE once", INJECT_OPEN, EMFILE, FALSE}, {-EIO}, 1},
	{{"EMFILE for ever", INJECT_OPEN, EMFILE, TRUE}, {-EIO}, 1},
	{{"EIO once", ALL_CALLS, EIO, FALSE}, {-EIO}, 3},
	{{"ENOSPC for ever", INJECT_WRITE | INJECT_SPACE, ENOSPC, TRUE}, {-ENOSPC, -EIO}, 4},
	{{"EINTR once", ALL_CALLS & ~INJECT_OPEN, EINTR, FALSE}, {0}, 3},
};

static guint64 attachments;
static guint own_threads; /* of the test */

static guint64 step(TestRandom *random, const PluginFault *fault)
{
	guint stride = fault->stride;

	if (g_getenv("STORAGEOS_TEST_LONG"))
		return 1;
	if (test_is_instrumented() && !(fault->injection.kinds & (INJECT_MEMORY | INJECT_THREAD)))
		stride *= FEWER;
	return 1 + test_random_below(random, 2 * stride - 1);
}

static guint count_entries(const char *path)
{
	g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
	guint n = 0;

	while (directory && g_dir_read_name(directory))
		n++;
	return n;
}

/* Those of the process end a moment after its last device. */
static void await_threads_end(void)
{
	WAIT_WITHIN(5, count_entries("/proc/self/task") <= own_threads);
	CHECK_UINT(count_entries("/proc/self/task"), own_threads);
}

static void check_answer(const PluginFault *fault, int answer)
{
	for (guint i = 0; i < G_N_ELEMENTS(fault->answers); i++)
		if (fault->answers[i] && answer == fault->answers[i])
			return;
	CHECK_INT(answer, 0);
}

/* Every command is answered; `good`: with success. */
static void use(Dev *dev, gboolean good)
{
	g_autofree guint8 *data = g_malloc0(64 << 10), *back = g_malloc(64 << 10);
	int status[4];

	memset(data, 'x', 64 << 10);
	status[0] = run_write(dev, data, 64 << 10, 4096);
	status[1] = run_flush(dev);
	status[2] = run_unmap(dev, 4096, 4096);
	status[3] = run_read(dev, back, 64 << 10, 4096);
	for (guint i = 0; i < G_N_ELEMENTS(status); i++) {
		CHECK(status[i] != -1);
		if (good)
			CHECK_INT(status[i], STS_OK);
	}
	if (!good)
		return;
	CHECK_ZERO(back, 4096);
	CHECK_MEM(back + 4096, data, (64 << 10) - 4096);
}

/* Makes a new volume by attaching it, uses and detaches it. */
static gboolean attach_once(const PluginFault *fault, guint64 point)
{
	guint descriptors;
	guint64 count;
	int answer;
	Dev dev;

	await_threads_end();
	descriptors = count_entries("/proc/self/fd");
	fixture_forget("faults");
	test_row("%s at call %" G_GUINT64_FORMAT, fault->injection.name, point);
	dev_init(&dev, "storageos/faults;create", SIZE);
	inject_begin(&fault->injection, point);
	answer = dev_add(&dev);
	if (!answer) {
		use(&dev, !fault->answers[0]);
		dev_remove(&dev);
	}
	count = inject_end();
	check_answer(fault, answer);
	await_threads_end();
	CHECK_UINT(count_entries("/proc/self/fd"), descriptors);
	if (CHECK(dev_open(&dev, "faults"))) {
		use(&dev, TRUE);
		dev_remove(&dev);
	}
	attachments++;
	return count > point;
}

static void test_attach(const void *data)
{
	const PluginFault *fault = data;
	TestRandom random = test_random_new(test_seed());
	guint64 point = step(&random, fault) - 1, before = attachments,
		faults_before = inject_total();
	Dev dev;

	REQUIRE(dev_open(&dev, "faults")); /* makes everything that is made once in a process */
	dev_remove(&dev);
	while (point < POINTS_MAX && !test_failed() && attach_once(fault, point))
		point += step(&random, fault);
	CHECK(point < POINTS_MAX);
	test_note("%" G_GUINT64_FORMAT " attachments, %" G_GUINT64_FORMAT " faults",
		  attachments - before, inject_total() - faults_before);
}

static gboolean becomes_ready(Dev *dev)
{
	gint64 end = g_get_monotonic_time() + test_time_limit(READY_SECONDS);
	guint8 block[512];

	while (g_get_monotonic_time() < end) {
		if (run_read(dev, block, sizeof block, 0) == STS_OK)
			return TRUE;
		g_usleep(50000);
	}
	return FALSE;
}

/* A device that existed before a new runner attached it: the plugin waits until a temporary fault
 * has passed. */
static void test_attach_again(const void *data)
{
	static const Injection once = {"EIO once", INJECT_READ | INJECT_LOCK, EIO, FALSE};
	static const Injection no_thread = {"no thread", INJECT_THREAD, EAGAIN, FALSE};
	Dev dev;

	(void)data;
	REQUIRE(dev_open(&dev, "again"));
	dev_remove(&dev);
	enabled_text = "1\n";
	for (guint64 point = 0; point < 3; point++) {
		test_row("EIO at call %" G_GUINT64_FORMAT, point);
		dev_init(&dev, "storageos/again", SIZE);
		inject_begin(&once, point);
		CHECK_INT(dev_add(&dev), 0);
		CHECK(becomes_ready(&dev));
		inject_end();
		dev_remove(&dev);
	}
	enabled_text = NULL;
	test_row("no thread");
	dev_init(&dev, "storageos/again", SIZE);
	inject_begin(&no_thread, 100);
	CHECK_INT(dev_add(&dev), 0);
	CHECK(inject_end() > 1); /* a checkpointer, at least */
	dev_remove(&dev);
}

static void test_count(const void *data)
{
	(void)data;
	CHECK(attachments > 0 && inject_total() > 0);
	test_note("%" G_GUINT64_FORMAT " attachments, %" G_GUINT64_FORMAT " faults injected",
		  attachments, inject_total());
}

int main(int argc, char **argv)
{
	if (!fixture_init(argc, argv))
		return 1;
	own_threads = count_entries("/proc/self/task");
	host_own_calls = inject_suspend;
	for (guint i = 0; i < G_N_ELEMENTS(faults); i++) {
		g_autofree char *name = g_strdup_printf("attach: %s", faults[i].injection.name);

		test_add(name, test_attach, &faults[i]);
	}
	test_add("the plugin waits until a temporary fault has passed", test_attach_again, NULL);
	test_add("all of them together", test_count, NULL);
	return test_run(argc - 1, argv + 1);
}
