/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SANITIZE of a volume in memory: what is left of the data, and when the command is answered.
 */
#include <errno.h>
#include <time.h>

#include "tests/backing/faulty.h"
#include "common/base/units.h"
#include "handler/sanitizer.h"
#include "tests/harness.h"

#define SIZE (8 * MIB)
#define SECONDS_20 (20 * G_USEC_PER_SEC)

typedef struct {
	ScsiUnit unit;
	Volume *volume;
	Backing *faulty;
	Sanitizer *sanitizer;
	gint busy, answers; /* atomic */
	RunnerStatus status;
	guint8 sense[RUNNER_SENSE_SIZE];
} SanitizerScene;

/* ---- the clock */

#define EXPORT __attribute__((visibility("default")))

static gint clock_jump; /* how far every second reading is ahead, us; atomic */
static gint clock_readings;

EXPORT gint64 g_get_monotonic_time(void);

gint64 g_get_monotonic_time(void)
{
	struct timespec now;
	gint ahead = 0;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (g_atomic_int_add(&clock_readings, 1) % 2)
		ahead = g_atomic_int_get(&clock_jump);
	return (gint64)now.tv_sec * G_USEC_PER_SEC + now.tv_nsec / 1000 + ahead;
}

/* ---- */

/* The command is the scene. */
guint8 *runner_command_sense(const RunnerCommand *cmd)
{
	return ((SanitizerScene *)cmd)->sense;
}

static gboolean is_idle(gpointer data)
{
	return !g_atomic_int_get(&((SanitizerScene *)data)->busy);
}

static void answer(gpointer data, RunnerCommand *cmd, RunnerStatus status)
{
	SanitizerScene *scene = data;

	CHECK((gpointer)cmd == data);
	scene->status = status;
	g_atomic_int_inc(&scene->answers);
}

static void put(SanitizerScene *scene, guint8 value)
{
	g_autofree guint8 *memory = g_malloc(SIZE);
	struct iovec iov = {memory, SIZE};

	memset(memory, value, SIZE);
	CHECK_INT(volume_write(scene->volume, &iov, 1, 0, NULL), 0);
}

static gboolean holds(SanitizerScene *scene, guint8 even, guint8 odd)
{
	g_autofree guint8 *memory = g_malloc(SIZE);
	struct iovec iov = {memory, SIZE};

	CHECK_INT(volume_read(scene->volume, &iov, 1, 0, NULL), 0);
	for (gsize i = 0; i < SIZE; i += 2)
		if (memory[i] != even || memory[i + 1] != odd)
			return FALSE;
	return TRUE;
}

static SanitizerScene *scene_new(guint64 rate, gint64 deadline)
{
	const VolumeParameters parameters = {.size = SIZE};
	SanitizerScene *scene = g_new0(SanitizerScene, 1);
	const SanitizerOwner owner = {.unit = &scene->unit,
				      .rate = rate,
				      .deadline = deadline,
				      .name = "test",
				      .is_idle = is_idle,
				      .answer = answer,
				      .data = scene};

	scene->faulty = backing_faulty_new(0);
	CHECK(volume_format(scene->faulty, &parameters, NULL));
	scene->volume = volume_open(scene->faulty, "test", 0, NULL);
	scene->sanitizer = sanitizer_new(&owner);
	put(scene, 'a');
	return scene;
}

static void scene_free(SanitizerScene *scene)
{
	sanitizer_free(scene->sanitizer);
	volume_close(scene->volume, NULL);
	g_free(scene);
}

static void begin(SanitizerScene *scene, const Sanitize *sanitize)
{
	CHECK_INT(
		sanitizer_begin(scene->sanitizer, scene->volume, (RunnerCommand *)scene, sanitize),
		RUNNER_OK);
}

#define WAIT_FOR(condition)                                                                        \
	do {                                                                                       \
		WAIT_WITHIN(20, condition);                                                        \
		CHECK(condition);                                                                  \
	} while (0)

static gint state(SanitizerScene *scene)
{
	return g_atomic_int_get(&scene->unit.state);
}

static void test_erase(const void *data)
{
	const Sanitize erase = {.kind = SANITIZE_BLOCK_ERASE};
	SanitizerScene *scene = scene_new(0, SECONDS_20);
	VolumeInfo info;

	(void)data;
	g_atomic_int_set(&scene->busy, TRUE);
	begin(scene, &erase);
	CHECK_INT(state(scene), SCSI_SANITIZING);
	g_usleep(50000);	       /* an erase that does not wait would begin in this time */
	CHECK(holds(scene, 'a', 'a')); /* not before everything else has ended */
	g_atomic_int_set(&scene->busy, FALSE);
	WAIT_FOR(g_atomic_int_get(&scene->answers));
	CHECK_INT(scene->status, RUNNER_OK);
	CHECK_INT(state(scene), SCSI_NORMAL);
	CHECK(holds(scene, 0, 0));
	volume_get_info(scene->volume, &info);
	CHECK_UINT(info.data_bytes, 0);
	scene_free(scene);
}

static void test_overwrite(const void *data)
{
	Sanitize overwrite = {
		.kind = SANITIZE_OVERWRITE, .passes = 2, .invert = TRUE, .immediate = TRUE};
	SanitizerScene *scene = scene_new(0, SECONDS_20);

	(void)data;
	for (guint i = 0; i < SANITIZE_PATTERN_MAX; i++)
		overwrite.pattern[i] = i % 2 ? 0x0f : 0x01;
	begin(scene, &overwrite);
	WAIT_FOR(state(scene) == SCSI_NORMAL);
	CHECK_INT(g_atomic_int_get(&scene->answers), 1);
	CHECK_INT(scene->status, RUNNER_OK);
	CHECK(holds(scene, 0xfe, 0xf0));
	begin(scene, &overwrite); /* and once more */
	WAIT_FOR(state(scene) == SCSI_NORMAL);
	CHECK_INT(g_atomic_int_get(&scene->answers), 2);
	scene_free(scene);
}

/* A SANITIZE that takes longer than a command may is answered, and goes on. */
static void test_slow(const void *data)
{
	const Sanitize overwrite = {.kind = SANITIZE_OVERWRITE, .passes = 1, .pattern = "x"};
	SanitizerScene *scene = scene_new(4 * MIB, G_USEC_PER_SEC / 2);

	(void)data;
	begin(scene, &overwrite);
	WAIT_FOR(g_atomic_int_get(&scene->answers));
	CHECK_INT(scene->status, RUNNER_SENSE_SET);
	CHECK_UINT(scene->sense[2], 0x2);
	CHECK_UINT(scene->sense[12] << 8 | scene->sense[13], 0x041b);
	CHECK_INT(state(scene), SCSI_SANITIZING);
	WAIT_FOR(g_atomic_int_get(&scene->unit.progress) > 0x4000);
	CHECK_INT(state(scene), SCSI_SANITIZING);
	scene_free(scene); /* ends it */
}

/* Every reading of the clock may be before or after the time that is waited for. */
static void test_clock(const void *data)
{
	const Sanitize overwrite = {.kind = SANITIZE_OVERWRITE, .passes = 12, .pattern = "x"};
	SanitizerScene *scene = scene_new(20 * MIB, SECONDS_20);

	(void)data;
	g_atomic_int_set(&clock_jump, 5000);
	begin(scene, &overwrite);
	WAIT_FOR(state(scene) == SCSI_NORMAL);
	g_atomic_int_set(&clock_jump, 0);
	if (!test_failed()) /* else it sleeps for good */
		scene_free(scene);
}

/* A pause that the rate makes a week long does not delay the answer. */
static void test_end_of_pause(const void *data)
{
	const Sanitize overwrite = {.kind = SANITIZE_OVERWRITE, .passes = 1, .pattern = "x"};
	SanitizerScene *scene = scene_new(1, G_USEC_PER_SEC / 10);
	gint64 begun;

	(void)data;
	begin(scene, &overwrite);
	WAIT_FOR(g_atomic_int_get(&scene->unit.progress) > 0);
	WAIT_FOR(g_atomic_int_get(&scene->answers)); /* by the thread that pauses */
	begun = g_get_monotonic_time();
	scene_free(scene);
	CHECK_WITHIN(begun, 5);
}

/* A volume that has FAILED meanwhile frees no space, so the command must not succeed. */
static void test_failure_late(const void *data)
{
	const Sanitize erase = {.kind = SANITIZE_BLOCK_ERASE};
	SanitizerScene *scene = scene_new(0, SECONDS_20);

	(void)data;
	backing_faulty_fail(scene->faulty, FAULTY_FLUSH, 1, EIO, TRUE, FALSE);
	begin(scene, &erase);
	WAIT_FOR(g_atomic_int_get(&scene->answers));
	CHECK_INT(scene->status, RUNNER_SENSE_SET);
	CHECK_UINT(scene->sense[12] << 8 | scene->sense[13], 0x3103);
	scene_free(scene);
}

/* Freeing the space takes two checkpoints, more than a second here. */
static void test_slow_disk(const void *data)
{
	const Sanitize erase = {.kind = SANITIZE_BLOCK_ERASE};
	SanitizerScene *scene = scene_new(0, SECONDS_20);

	(void)data;
	backing_faulty_delay(scene->faulty, FAULTY_FLUSH, 400000);
	begin(scene, &erase);
	WAIT_FOR(g_atomic_int_get(&scene->answers));
	CHECK_INT(scene->status, RUNNER_OK);
	backing_faulty_delay(scene->faulty, FAULTY_FLUSH, 0);
	scene_free(scene);
}

static void test_failure(const void *data)
{
	const Sanitize erase = {.kind = SANITIZE_BLOCK_ERASE};
	SanitizerScene *scene = scene_new(0, SECONDS_20);

	(void)data;
	backing_faulty_fail(scene->faulty, FAULTY_FLUSH, 0, EIO, TRUE, FALSE);
	begin(scene, &erase);
	WAIT_FOR(g_atomic_int_get(&scene->answers));
	CHECK_INT(scene->status, RUNNER_SENSE_SET);
	CHECK_UINT(scene->sense[12] << 8 | scene->sense[13], 0x3103);
	CHECK_INT(state(scene), SCSI_SANITIZE_FAILED);
	CHECK(g_atomic_int_get(&scene->unit.exit_restricted));
	scene_free(scene);
}

int main(int argc, char **argv)
{
	test_add("a block erase leaves zeros, and no space taken", test_erase, NULL);
	test_add("an overwrite inverts its pattern with each pass", test_overwrite, NULL);
	test_add("one that takes long is answered meanwhile", test_slow, NULL);
	test_add("no jump of the clock keeps one from going on", test_clock, NULL);
	test_add("its pauses end with the device", test_end_of_pause, NULL);
	test_add("one fails where the volume does after the flush", test_failure_late, NULL);
	test_add("one ends on a disk that is slow", test_slow_disk, NULL);
	test_add("one that fails leaves the unit failed", test_failure, NULL);
	return test_run(argc, argv);
}
