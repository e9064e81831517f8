/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/harness.h"

#include <CUnit/CUnit.h>
#include <CUnit/TestDB.h>
#include <CUnit/TestRun.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/base/error.h"

#define FAILURES_PRINTED 10

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define INSTRUMENTED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define INSTRUMENTED
#endif

typedef struct {
	char *name;
	TestFunction run;
	const void *data;
} Test;

static GPtrArray *tests; /* those to be run */
static GMutex mutex;	 /* all below, and CUnit, which has no lock of its own */
static guint current;
static gboolean running; /* a test is: CUnit dies of a check outside of one */
static gboolean strays;	 /* a check failed outside of one, in a thread of an earlier test */
static guint failures;	 /* of the current test */
static gboolean seed_printed;
static char *skip_reason;
static char *directory;
static guint n_paths;
static _Thread_local char row[256];

static void note_failure_locked(const char *file, int line, const char *message)
{
	failures++;
	if (failures <= FAILURES_PRINTED)
		printf("# %s:%d: %s%s%s\n", file, line, row, *row ? ": " : "", message);
	else if (failures == FAILURES_PRINTED + 1)
		printf("# ... more failures of this test are not printed\n");
}

static gboolean check_message(gboolean ok, const char *file, int line, const char *message)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&mutex);

	if (running)
		CU_assertImplementation(ok, (unsigned int)line, message, file, "", CU_FALSE);
	else if (!ok)
		strays = TRUE;
	if (!ok)
		note_failure_locked(file, line, message);
	if (!ok && !tests) /* a fuzzer runs this, and looks for crashes */
		abort();
	return ok;
}

gboolean test_check(gboolean ok, const char *file, int line, const char *format, ...)
{
	char message[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof message, format, args);
	va_end(args);
	return check_message(ok, file, line, message);
}

double test_time_factor(void)
{
	static double factor; /* 0: not known yet */
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&mutex);
	g_autofree char *measured = NULL;
	const char *text = g_getenv("STORAGEOS_TIME_FACTOR");

	if (factor > 0)
		return factor;
	if ((!text || !*text) &&
	    g_spawn_command_line_sync(TIME_FACTOR_PROGRAM, &measured, NULL, NULL, NULL))
		text = measured;
	factor = text ? g_ascii_strtod(text, NULL) : 1;
	factor = MAX(factor, 1);
	return factor;
}

gint64 test_time_limit(double seconds)
{
	return (gint64)(seconds * test_time_factor() * G_USEC_PER_SEC);
}

gboolean test_check_within(gint64 begun, double seconds, const char *file, int line)
{
	gint64 took = g_get_monotonic_time() - begun, limit = test_time_limit(seconds);

	return test_check(took <= limit, file, line,
			  "it took %" G_GINT64_FORMAT " ms, and has %" G_GINT64_FORMAT
			  " (%g s, time factor %.1f)",
			  took / 1000, limit / 1000, seconds, test_time_factor());
}

static gint64 microseconds(struct timeval time)
{
	return time.tv_sec * G_USEC_PER_SEC + time.tv_usec;
}

TestTime test_now(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (TestTime){.clock = g_get_monotonic_time(),
			  .processor = microseconds(usage.ru_utime) + microseconds(usage.ru_stime)};
}

TestTime test_since(TestTime begun)
{
	TestTime now = test_now();

	return (TestTime){.clock = now.clock - begun.clock,
			  .processor = now.processor - begun.processor};
}

gboolean test_check_quick(TestTime begun, double seconds, const char *file, int line)
{
	TestTime took = test_since(begun);
	gint64 limit = test_time_limit(seconds);
	gboolean idle = (double)took.processor <= seconds * G_USEC_PER_SEC / 2;

	return test_check(took.clock <= limit || (idle && took.clock <= 10 * limit), file, line,
			  "it took %" G_GINT64_FORMAT " ms, %" G_GINT64_FORMAT
			  " ms of a processor, and has %" G_GINT64_FORMAT
			  " ms (%g s, time factor %.1f)",
			  took.clock / 1000, took.processor / 1000, limit / 1000, seconds,
			  test_time_factor());
}

static char alarm_text[512];

static void on_alarm(int number)
{
	(void)number;
	_exit(write(STDOUT_FILENO, alarm_text, strlen(alarm_text)) < 0 ? 2 : 1);
}

void test_alarm(double seconds, const char *what)
{
	double limit = (double)test_time_limit(seconds) / G_USEC_PER_SEC;

	alarm(0);
	if (seconds <= 0)
		return;
	g_snprintf(alarm_text, sizeof alarm_text,
		   "\nBail out! %s met its limit of %.0f s (%g s, time factor %.1f)\n", what, limit,
		   seconds, test_time_factor());
	signal(SIGALRM, on_alarm);
	alarm((unsigned int)limit + 1);
}

gboolean test_check_int(gint64 actual, gint64 expected, const char *file, int line,
			const char *what)
{
	return test_check(actual == expected, file, line,
			  "%s is %" G_GINT64_FORMAT ", expected %" G_GINT64_FORMAT, what, actual,
			  expected);
}

gboolean test_check_uint(guint64 actual, guint64 expected, const char *file, int line,
			 const char *what)
{
	return test_check(actual == expected, file, line,
			  "%s is %" G_GUINT64_FORMAT " (0x%" G_GINT64_MODIFIER
			  "x), expected %" G_GUINT64_FORMAT " (0x%" G_GINT64_MODIFIER "x)",
			  what, actual, actual, expected, expected);
}

gboolean test_check_str(const char *actual, const char *expected, const char *file, int line,
			const char *what)
{
	return test_check(!g_strcmp0(actual, expected), file, line, "%s is \"%s\", expected \"%s\"",
			  what, actual ? actual : "(null)", expected ? expected : "(null)");
}

gboolean test_check_contains(const char *actual, const char *part, const char *file, int line,
			     const char *what)
{
	return test_check(actual && strstr(actual, part), file, line,
			  "%s is \"%s\", expected \"%s\" in it", what, actual ? actual : "(null)",
			  part);
}

gboolean test_check_mem(const void *actual, const void *expected, gsize length, const char *file,
			int line, const char *what)
{
	const guint8 *a = actual, *e = expected;
	gsize at = 0;

	if (!memcmp(actual, expected, length))
		return check_message(TRUE, file, line, what);
	while (a[at] == e[at])
		at++;
	return test_check(FALSE, file, line,
			  "%s differs at byte %zu of %zu: is 0x%02x, expected 0x%02x", what, at,
			  length, a[at], e[at]);
}

gboolean test_check_zero(const void *actual, gsize length, const char *file, int line,
			 const char *what)
{
	const guint8 *a = actual;
	gsize at = 0;

	while (at < length && !a[at])
		at++;
	return test_check(at == length, file, line, "%s: byte %zu of %zu is not zero", what, at,
			  length);
}

gboolean test_check_no_error(const GError *error, const char *file, int line)
{
	return test_check(!error, file, line, "unexpected error: %s", error ? error->message : "");
}

gboolean test_check_error(const GError *error, int code, const char *part, const char *file,
			  int line)
{
	gboolean ok = error && error->domain == STORAGEOS_ERROR && error->code == code &&
		      (!part || strstr(error->message, part));

	return test_check(ok, file, line, "error is %d \"%s\", expected %d \"%s\"",
			  error ? error->code : -1, error ? error->message : "none", code,
			  part ? part : "...");
}

void test_skip(const char *format, ...)
{
	va_list args;

	g_mutex_lock(&mutex);
	g_free(skip_reason);
	va_start(args, format);
	skip_reason = g_strdup_vprintf(format, args);
	va_end(args);
	g_mutex_unlock(&mutex);
}

void test_row(const char *format, ...)
{
	va_list args;

	*row = '\0';
	if (!format)
		return;
	va_start(args, format);
	vsnprintf(row, sizeof row, format, args);
	va_end(args);
}

gboolean test_failed(void)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&mutex);

	return failures > 0;
}

gboolean test_is_instrumented(void)
{
#ifdef INSTRUMENTED
	return TRUE;
#else
	return FALSE;
#endif
}

void test_note(const char *format, ...)
{
	g_autofree char *line = NULL;
	va_list args;

	va_start(args, format);
	line = g_strdup_vprintf(format, args);
	va_end(args);
	printf("# %s\n", line);
}

guint64 test_seed(void)
{
	static guint64 seed;
	const char *wanted = g_getenv("STORAGEOS_TEST_SEED");
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&mutex);

	if (!seed)
		seed = wanted ? g_ascii_strtoull(wanted, NULL, 0) : g_random_int();
	if (!seed_printed)
		printf("# seed %" G_GUINT64_FORMAT "\n", seed);
	seed_printed = TRUE;
	return seed;
}

TestRandom test_random_new(guint64 seed)
{
	return (TestRandom){.state = seed};
}

/* splitmix64 */
guint64 test_random(TestRandom *random)
{
	guint64 x = random->state += 0x9e3779b97f4a7c15u;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

guint64 test_random_below(TestRandom *random, guint64 limit)
{
	return test_random(random) % limit;
}

void test_random_fill(TestRandom *random, void *data, gsize length)
{
	guint8 *p = data;

	for (; length >= 8; p += 8, length -= 8) {
		guint64 value = test_random(random);

		memcpy(p, &value, 8);
	}
	for (; length; p++, length--)
		*p = (guint8)test_random(random);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static void remove_directory(void)
{
	if (directory)
		nftw(directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	g_clear_pointer(&directory, g_free);
}

const char *test_directory(void)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&mutex);

	if (directory)
		return directory;
	directory = g_build_filename(g_get_tmp_dir(), "storageos-test-XXXXXX", NULL);
	if (!g_mkdtemp(directory)) {
		fprintf(stderr, "cannot make %s\n", directory);
		exit(1);
	}
	atexit(remove_directory);
	return directory;
}

char *test_path(const char *suffix)
{
	const char *parent = test_directory();
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&mutex);

	return g_strdup_printf("%s/%u-%s", parent, ++n_paths, suffix);
}

void test_add(const char *name, TestFunction run, const void *data)
{
	Test *test = g_new0(Test, 1);

	*test = (Test){.name = g_strdup(name), .run = run, .data = data};
	if (!tests)
		tests = g_ptr_array_new();
	g_ptr_array_add(tests, test);
}

static void set_running(gboolean value)
{
	g_mutex_lock(&mutex);
	running = value;
	g_mutex_unlock(&mutex);
}

/* The one function that CUnit knows: it has no room for data beside a test. */
static void run_current(void)
{
	const Test *test = g_ptr_array_index(tests, current);

	test_row(NULL);
	set_running(TRUE);
	test->run(test->data);
	set_running(FALSE);
}

static void on_start(const CU_pTest test, const CU_pSuite suite)
{
	(void)test, (void)suite;
	failures = 0;
	seed_printed = FALSE;
	g_clear_pointer(&skip_reason, g_free);
}

static void on_complete(const CU_pTest cu_test, const CU_pSuite suite,
			const CU_pFailureRecord failure)
{
	const Test *test = g_ptr_array_index(tests, current);

	(void)cu_test, (void)suite;
	current++;
	if (failure || failures)
		printf("not ok %u - %s\n", current, test->name);
	else if (skip_reason)
		printf("ok %u - %s # SKIP %s\n", current, test->name, skip_reason);
	else
		printf("ok %u - %s\n", current, test->name);
}

static gboolean wanted(const Test *test, int argc, char **argv)
{
	gboolean all = TRUE, chosen = FALSE;

	for (int i = 1; i < argc; i++) {
		if (argv[i][0] != '-') {
			all = FALSE;
			chosen = chosen || strstr(test->name, argv[i]);
		} else if (strstr(test->name, argv[i] + 1)) {
			return FALSE;
		}
	}
	return all || chosen;
}

static void test_free(gpointer data)
{
	g_free(((Test *)data)->name);
	g_free(data);
}

/* CU_get_error() is 0 with failing tests: only the counts tell. */
int test_run(int argc, char **argv)
{
	CU_pSuite suite;
	gboolean failed;

	setvbuf(stdout, NULL, _IOLBF, 0);
	g_ptr_array_set_free_func(tests, test_free);
	for (guint i = tests->len; i-- > 0;)
		if (!wanted(g_ptr_array_index(tests, i), argc, argv))
			g_ptr_array_remove_index(tests, i);
	printf("1..%u\n", tests->len);
	CU_initialize_registry();
	suite = CU_add_suite("tests", NULL, NULL);
	for (guint i = 0; i < tests->len; i++) {
		g_autofree char *name = g_strdup_printf("%u", i);

		CU_add_test(suite, name, run_current);
	}
	CU_set_test_start_handler(on_start);
	CU_set_test_complete_handler(on_complete);
	CU_run_all_tests();
	failed = CU_get_number_of_failures() || CU_get_number_of_suites_failed() || strays ||
		 current != tests->len;
	CU_cleanup_registry();
	g_clear_pointer(&tests, g_ptr_array_unref);
	g_clear_pointer(&skip_reason, g_free);
	return failed || !current;
}
