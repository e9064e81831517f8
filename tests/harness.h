/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the C tests share: CUnit below, TAP on standard output.
 *
 *     static void test_sum(const void *data)
 *     {
 *             CHECK_INT(sum(2, 2), 4);
 *     }
 *
 *     int main(int argc, char **argv)
 *     {
 *             test_add("two and two make four", test_sum, NULL);
 *             return test_run(argc, argv);
 *     }
 *
 * A check that fails is noted with its values and the test goes on (so that cleanups run); where
 * going on makes no sense, REQUIRE() returns.  Checks may be made in any thread.
 * `program WORD...` runs only the tests whose names contain one of the words; `-WORD` leaves out
 * those with that one.
 */
#pragma once

#include <glib.h>
#include <string.h>

typedef void (*TestFunction)(const void *data);

/* Names are copied, `data` is not. */
void test_add(const char *name, TestFunction run, const void *data);

/* Runs them in the order that they were added and prints TAP.  Returns what main() returns: 0 when
 * none failed, and one was run: words that no name contains run none. */
int test_run(int argc, char **argv);

/* The running test is reported as skipped, unless a check of it failed.  Then return. */
void test_skip(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* What this thread's checks are about, from now on, put in front of the message of a failure: the
 * row of a table, the step of a sweep.  NULL for nothing; nothing at a test's start. */
void test_row(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* TRUE as soon as a check of the running test failed. */
gboolean test_failed(void);

/* TRUE in a build with sanitizers, where time and memory say nothing about the program, and long
 * tests take samples. */
gboolean test_is_instrumented(void);

/* --- Time: as for two idle processors, and longer on a slower or busy machine ----------------- */

/* By how much: of the environment (STORAGEOS_TIME_FACTOR), or else measured when first asked for,
 * by tests/time-factor.  1 at least. */
double test_time_factor(void);

/* A limit on this machine, in microseconds. */
gint64 test_time_limit(double seconds);

/* It has not taken longer since `begun`, of g_get_monotonic_time(). */
#define CHECK_WITHIN(begun, seconds) test_check_within(begun, seconds, __FILE__, __LINE__)

/* What has passed since a moment: on the clock, and of this process's processor time; microseconds.
 */
typedef struct {
	gint64 clock, processor;
} TestTime;

TestTime test_now(void);
TestTime test_since(TestTime begun);

/* What began then was quick: it took at most `seconds` of the clock.  Other processes may hold it
 * up: ten times as long will do where it used at most half of `seconds` of a processor. */
#define CHECK_QUICK(begun, seconds) test_check_quick(begun, seconds, __FILE__, __LINE__)

/* Tries the condition, an expression, every millisecond, until it holds; no check by itself. */
#define WAIT_WITHIN(seconds, condition)                                                            \
	do {                                                                                       \
		const gint64 wait_end = g_get_monotonic_time() + test_time_limit(seconds);         \
                                                                                                   \
		while (!(condition) && g_get_monotonic_time() < wait_end)                          \
			g_usleep(1000);                                                            \
	} while (0)

/* Ends the process as failed, and says what took too long, unless this is called again within the
 * limit.  0 seconds: no more.  `what` is copied.  Takes SIGALRM; for one thread at a time. */
void test_alarm(double seconds, const char *what);

/* A diagnostic line. */
void test_note(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* The seed of this run, printed as "# seed N" by the running test when it first asks; the variable
 * STORAGEOS_TEST_SEED sets it. */
guint64 test_seed(void);

/* Random numbers that depend on nothing but the seed; one generator per thread. */
typedef struct {
	guint64 state;
} TestRandom;

TestRandom test_random_new(guint64 seed);
guint64 test_random(TestRandom *random);
guint64 test_random_below(TestRandom *random, guint64 limit);
void test_random_fill(TestRandom *random, void *data, gsize length);

/* A directory for this process, made when first asked for and removed at the end. */
const char *test_directory(void);

/* A path in it that was not given out before.  Free the result. */
char *test_path(const char *suffix);

/* --- Checks: each is TRUE or FALSE ------------------------------------------------------------ */

#define CHECK(condition) test_check(!!(condition), __FILE__, __LINE__, "%s", #condition)
#define CHECK_INT(actual, expected) test_check_int(actual, expected, __FILE__, __LINE__, #actual)
#define CHECK_UINT(actual, expected) test_check_uint(actual, expected, __FILE__, __LINE__, #actual)
#define CHECK_STR(actual, expected) test_check_str(actual, expected, __FILE__, __LINE__, #actual)
#define CHECK_CONTAINS(actual, part) test_check_contains(actual, part, __FILE__, __LINE__, #actual)
#define CHECK_MEM(actual, expected, length)                                                        \
	test_check_mem(actual, expected, length, __FILE__, __LINE__, #actual)
#define CHECK_ZERO(actual, length) test_check_zero(actual, length, __FILE__, __LINE__, #actual)
#define CHECK_NO_ERROR(error) test_check_no_error(error, __FILE__, __LINE__)
/* `error` is of our domain, has this code, and its message contains `part` (NULL: anything). */
#define CHECK_ERROR(error, code, part) test_check_error(error, code, part, __FILE__, __LINE__)
#define FAIL(...) test_check(FALSE, __FILE__, __LINE__, __VA_ARGS__)

#define REQUIRE(condition)                                                                         \
	do {                                                                                       \
		if (!CHECK(condition))                                                             \
			return;                                                                    \
	} while (0)

gboolean test_check(gboolean ok, const char *file, int line, const char *format, ...)
	G_GNUC_PRINTF(4, 5);
gboolean test_check_within(gint64 begun, double seconds, const char *file, int line);
gboolean test_check_quick(TestTime begun, double seconds, const char *file, int line);
gboolean test_check_int(gint64 actual, gint64 expected, const char *file, int line,
			const char *what);
gboolean test_check_uint(guint64 actual, guint64 expected, const char *file, int line,
			 const char *what);
gboolean test_check_str(const char *actual, const char *expected, const char *file, int line,
			const char *what);
gboolean test_check_contains(const char *actual, const char *part, const char *file, int line,
			     const char *what);
gboolean test_check_mem(const void *actual, const void *expected, gsize length, const char *file,
			int line, const char *what);
gboolean test_check_zero(const void *actual, gsize length, const char *file, int line,
			 const char *what);
gboolean test_check_no_error(const GError *error, const char *file, int line);
gboolean test_check_error(const GError *error, int code, const char *part, const char *file,
			  int line);
