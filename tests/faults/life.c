/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/faults/life.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/backing/faulty.h"
#include "common/backing/file.h"
#include "common/base/bytes.h"
#include "common/check/check.h"
#include "common/base/error.h"

#define HANG_SECONDS 120
#define SLOW 1 /* seconds that a step may take */

typedef enum {
	LIFE_FORMAT,
	LIFE_OPEN,
	LIFE_WRITE,
	LIFE_ZERO,
	LIFE_COMPARE,
	LIFE_READ,
	LIFE_FLUSH,
	LIFE_CHECKPOINT,
	LIFE_RESIZE, /* to `first` */
	LIFE_DIE,
	LIFE_CLOSE,
} LifeStepKind;

typedef struct {
	LifeStepKind kind;
	guint first, count; /* sectors */
} LifeStep;

/* A leaf is 2048 sectors, a block 8. */
static const LifeStep steps[] = {
	{LIFE_FORMAT, 0, 0},	 {LIFE_OPEN, 0, 0},
	{LIFE_WRITE, 0, 8},	 {LIFE_RESIZE, LIFE_SECTORS, 0},
	{LIFE_WRITE, 21, 3},	 {LIFE_WRITE, 2040, 21},
	{LIFE_FLUSH, 0, 0},	 {LIFE_WRITE, 4096, 2048},
	{LIFE_ZERO, 2048, 8},	 {LIFE_ZERO, 3, 100},
	{LIFE_COMPARE, 2048, 8}, {LIFE_FLUSH, 0, 0},
	{LIFE_CHECKPOINT, 0, 0}, {LIFE_WRITE, 0, 16},
	{LIFE_READ, 0, 0},	 {LIFE_WRITE, 4000, 2100},
	{LIFE_DIE, 0, 0},	 {LIFE_OPEN, 0, 0},
	{LIFE_READ, 0, 0},	 {LIFE_WRITE, 100, 9},
	{LIFE_FLUSH, 0, 0},	 {LIFE_ZERO, 2048, 4096},
	{LIFE_RESIZE, 2048, 0},	 {LIFE_RESIZE, LIFE_SECTORS, 0},
	{LIFE_CHECKPOINT, 0, 0}, {LIFE_WRITE, 6100, 40},
	{LIFE_CLOSE, 0, 0},	 {LIFE_OPEN, 0, 0},
	{LIFE_READ, 0, 0},	 {LIFE_WRITE, 30, 2},
	{LIFE_CLOSE, 0, 0},
};
G_STATIC_ASSERT(G_N_ELEMENTS(steps) < 32); /* a set has 32 bits; bit 0 stands for zeros */

struct Life {
	LifeGround ground;
	LifeRules rules;
	Volume *volume;
	gboolean formatted, slow;
	guint64 sizes[G_N_ELEMENTS(steps)]; /* the sizes that the volume may have */
	guint n_sizes;
	guint32 now[LIFE_SECTORS], durable[LIFE_SECTORS];
	guint8 data[LIFE_SIZE];
};

/* ---- content of sectors */

static void fill(guint8 *data, guint number, guint first, guint count)
{
	for (guint i = 0; i < count; i++)
		for (guint k = 0; k < SECTOR_SIZE; k += 8) {
			put_le32(data + i * SECTOR_SIZE + k, number);
			put_le32(data + i * SECTOR_SIZE + k + 4, first + i);
		}
}

static gboolean check_sector(const guint8 *data, guint sector, guint32 allowed)
{
	guint8 wanted[SECTOR_SIZE] = {0};

	if (*data >= 32 || !(allowed >> *data & 1))
		return FAIL("sector %u holds step %u, allowed is the set 0x%x", sector, *data,
			    allowed);
	if (*data)
		fill(wanted, *data, sector, 1);
	return memcmp(data, wanted, sizeof wanted) == 0 ||
	       FAIL("sector %u is mixed, or of another place", sector);
}

static gboolean check_size(const Life *life, guint64 size)
{
	for (guint i = 0; i < life->n_sizes; i++)
		if (life->sizes[i] == size)
			return TRUE;
	return FAIL("the volume has %" G_GUINT64_FORMAT " bytes", size);
}

static void check_content(Life *life, Volume *volume, const guint32 *allowed)
{
	guint64 size = volume_size(volume);
	int r;

	if (!check_size(life, size))
		return;
	memset(life->data, 0xff, size);
	memset(life->data + size, 0, sizeof life->data - size);
	r = volume_get(volume, life->data, size, 0);
	if (life->rules.reads && r == life->rules.result)
		return;
	if (!CHECK_INT(r, 0))
		return;
	for (guint i = 0; i < LIFE_SECTORS; i++)
		if (!check_sector(life->data + i * SECTOR_SIZE, i, allowed[i]))
			return;
}

static void note_change(Life *life, const LifeStep *step, guint number, int result)
{
	guint32 bit = 1u << (step->kind == LIFE_ZERO ? 0 : number);

	for (guint i = step->first; i < step->first + step->count; i++) {
		life->now[i] = result ? life->now[i] | bit : bit;
		life->durable[i] |= bit;
	}
}

static void note_durable(Life *life)
{
	memcpy(life->durable, life->now, sizeof life->now);
}

/* ---- steps */

static Backing *ground_open(const LifeGround *ground, gboolean create, GError **error)
{
	if (ground->faulty)
		return backing_borrow(ground->faulty);
	return backing_file_open(ground->path, create ? BACKING_OPEN_CREATE : 0, error);
}

/* An open or a format that gives up reports an I/O error, whatever the cause was. */
static gboolean check_refusal(const Life *life, const GError *error)
{
	if (life->rules.fails && g_error_matches(error, STORAGEOS_ERROR, STORAGEOS_ERROR_IO))
		return TRUE;
	return CHECK(life->rules.result != 0) && CHECK_ERROR(error, life->rules.code, NULL);
}

static gboolean try_format(const Life *life)
{
	const VolumeParameters parameters = {.size = VOLUME_SIZE_MIN, .journal_size = 64 * KIB};
	g_autoptr(GError) error = NULL;
	g_autoptr(Backing) backing = NULL;

	if (life->ground.path)
		unlink(life->ground.path);
	backing = ground_open(&life->ground, TRUE, &error);
	if (backing && volume_format(backing, &parameters, &error))
		return TRUE;
	check_refusal(life, error);
	return FALSE;
}

static Volume *try_open(const Life *life)
{
	g_autoptr(GError) error = NULL;
	Backing *backing = ground_open(&life->ground, FALSE, &error);
	Volume *volume = backing ? volume_open(backing, "test", 0, &error) : NULL;

	if (!volume)
		check_refusal(life, error);
	return volume;
}

static void close_it(Life *life)
{
	g_autoptr(GError) error = NULL;
	VolumeInfo info;
	gboolean failed;

	volume_get_info(life->volume, &info);
	failed = info.state == VOLUME_FAILED;
	if (volume_close(life->volume, &error))
		note_durable(life);
	else if (!failed) /* a volume that was FAILED before is reported by another code */
		check_refusal(life, error);
	life->volume = NULL;
}

static gboolean has_failed(Life *life)
{
	VolumeInfo info;

	volume_get_info(life->volume, &info);
	return info.state == VOLUME_FAILED;
}

/* Compares with the present content if that is known, so that the comparison succeeds. */
static int compare_and_write(Life *life, const LifeStep *step, guint8 *data)
{
	const gsize length = step->count * SECTOR_SIZE;
	struct iovec expected = {.iov_base = life->data, .iov_len = length};
	struct iovec wanted = {.iov_base = data, .iov_len = length};
	int r = volume_get(life->volume, life->data, length, (guint64)step->first * SECTOR_SIZE);

	return r ? r
		 : volume_compare_and_write(life->volume, &expected, 1, &wanted, 1,
					    (guint64)step->first * SECTOR_SIZE, NULL);
}

static int do_request(Life *life, const LifeStep *step, guint number)
{
	const guint64 offset = (guint64)step->first * SECTOR_SIZE;
	const gsize length = step->count * SECTOR_SIZE;
	g_autofree guint8 *data = g_malloc(MAX(length, 1));

	fill(data, number, step->first, step->count);
	switch (step->kind) {
	case LIFE_WRITE:
		return volume_put(life->volume, data, length, offset);
	case LIFE_ZERO:
		return volume_discard(life->volume, offset, length);
	case LIFE_COMPARE:
		return compare_and_write(life, step, data);
	case LIFE_FLUSH:
		return volume_flush(life->volume);
	case LIFE_CHECKPOINT:
		return volume_checkpoint(life->volume);
	case LIFE_RESIZE:
	case LIFE_FORMAT:
	case LIFE_OPEN:
	case LIFE_READ:
	case LIFE_DIE:
	case LIFE_CLOSE:
		break;
	}
	return -EINVAL;
}

/* A FAILED volume stays FAILED and refuses all changes; any other failure must be one that the
 * rules allow. */
static void check_result(Life *life, const LifeStep *step, int result, gboolean failed_before)
{
	gboolean failed = has_failed(life);

	if (failed_before) {
		CHECK(failed);
		CHECK_INT(result, step->kind == LIFE_COMPARE && result == life->rules.result
					  ? result /* the error of the read that it makes first */
					  : -ESHUTDOWN);
		return;
	}
	if (failed && CHECK(life->rules.fails))
		CHECK(result == 0 || result == life->rules.result || result == -ESHUTDOWN ||
		      result == -EIO);
	else if (result)
		CHECK_INT(result, life->rules.result);
	if (step->kind == LIFE_FLUSH && result)
		CHECK(failed);
}

/* Sectors that are cut off count as zeros, because they read as zeros after the next growth. */
static void resize(Life *life, const LifeStep *step)
{
	const LifeStep cut = {LIFE_ZERO, step->first, LIFE_SECTORS - step->first};
	const guint64 size = (guint64)step->first * SECTOR_SIZE;
	gboolean failed = has_failed(life);
	g_autoptr(GError) error = NULL;

	if (volume_resize(life->volume, size, VOLUME_RESIZE_SHRINK | VOLUME_RESIZE_DISCARD,
			  HANG_SECONDS / 2, &error)) {
		note_change(life, &cut, 0, 0);
		note_durable(life);
		life->n_sizes = 0;
	} else {
		note_change(life, &cut, 0, -1);
		if (!failed && !g_error_matches(error, STORAGEOS_ERROR, STORAGEOS_ERROR_BUSY))
			check_refusal(life, error);
		CHECK(life->rules.result != 0);
	}
	life->sizes[life->n_sizes++] = size;
}

static void request(Life *life, const LifeStep *step, guint number)
{
	gboolean failed = has_failed(life);
	guint64 end = (guint64)(step->first + step->count) * SECTOR_SIZE;
	int result;

	if (end > volume_size(life->volume)) /* the growth had failed */
		return;
	result = do_request(life, step, number);
	check_result(life, step, result, failed);
	if (step->count)
		note_change(life, step, number, result);
	else if (!result)
		note_durable(life);
}

/* Carries out one step.  FALSE: the life ends here. */
static gboolean live(Life *life, const LifeStep *step, guint number)
{
	switch (step->kind) {
	case LIFE_FORMAT:
		life->formatted = try_format(life) || try_format(life);
		return life->formatted;
	case LIFE_OPEN:
		life->volume = try_open(life);
		if (!life->volume)
			life->volume = try_open(life);
		return life->volume != NULL;
	case LIFE_READ:
		check_content(life, life->volume, life->now);
		return TRUE;
	case LIFE_DIE:
		volume_abandon(g_steal_pointer(&life->volume));
		return TRUE;
	case LIFE_CLOSE:
		close_it(life);
		return TRUE;
	case LIFE_RESIZE:
		resize(life, step);
		return TRUE;
	case LIFE_WRITE:
	case LIFE_ZERO:
	case LIFE_COMPARE:
	case LIFE_FLUSH:
	case LIFE_CHECKPOINT:
		request(life, step, number);
		return TRUE;
	}
	return FALSE;
}

/* ---- a life */

Life *life_new(const LifeGround *ground, const LifeRules *rules)
{
	Life *life = g_new0(Life, 1);

	life->ground = *ground;
	life->rules = *rules;
	for (guint i = 0; i < LIFE_SECTORS; i++)
		life->now[i] = life->durable[i] = 1;
	life->sizes[life->n_sizes++] = VOLUME_SIZE_MIN;
	return life;
}

void life_run(Life *life)
{
	gboolean goes_on = TRUE;

	for (guint i = 0; i < G_N_ELEMENTS(steps) && goes_on; i++) {
		gint64 begun = g_get_monotonic_time();

		test_alarm(HANG_SECONDS, "a step of a life");
		goes_on = live(life, &steps[i], i + 1);
		life->slow |= g_get_monotonic_time() - begun > test_time_limit(SLOW);
	}
	if (life->volume)
		close_it(life);
	test_alarm(HANG_SECONDS, "a step of a life");
}

/* Checks the volume, opens and uses it, and checks it again. */
static void check_volume(Life *life, const LifeGround *ground, const guint32 *allowed)
{
	g_autoptr(Backing) checked = ground_open(ground, FALSE, NULL);
	g_autoptr(GError) error = NULL;
	Backing *backing;
	Volume *volume;

	REQUIRE(checked != NULL);
	if (!backing_check(checked))
		return;
	g_clear_pointer(&checked, backing_free);
	backing = ground_open(ground, FALSE, NULL);
	volume = volume_open(backing, "test", 0, &error);
	CHECK_NO_ERROR(error);
	REQUIRE(volume != NULL);
	check_content(life, volume, allowed);
	CHECK_INT(volume_put_value(volume, 0, 3 * SECTOR_SIZE, 0), 0);
	CHECK_INT(volume_flush(volume), 0);
	check_value(volume, 0, 3 * SECTOR_SIZE, 0);
	close_volume(volume);
	checked = ground_open(ground, FALSE, NULL);
	backing_check(checked);
}

/* A volume whose format failed must not look like a volume. */
static void check_no_volume(const LifeGround *ground)
{
	g_autoptr(GError) error = NULL;
	Backing *backing = ground_open(ground, FALSE, &error);
	Volume *volume = backing ? volume_open(backing, "test", 0, &error) : NULL;

	if (volume) { /* only the format's last flush failed, after everything was written */
		close_volume(volume);
		return;
	}
	CHECK(g_error_matches(error, STORAGEOS_ERROR, STORAGEOS_ERROR_CORRUPT) ||
	      g_error_matches(error, STORAGEOS_ERROR, STORAGEOS_ERROR_NOT_FOUND));
}

void life_check(Life *life)
{
	g_autoptr(Backing) lost = NULL;

	life->rules.reads = FALSE;
	if (!life->formatted) {
		check_no_volume(&life->ground);
		return;
	}
	if (life->ground.faulty)
		lost = backing_faulty_crash(life->ground.faulty, 1 + test_seed() % 1000);
	check_volume(life, &life->ground, life->now);
	if (lost)
		check_volume(life, &(LifeGround){.faulty = lost}, life->durable);
	test_alarm(0, NULL);
}

gboolean life_was_slow(const Life *life)
{
	return life->slow;
}

void life_free(Life *life)
{
	if (!life)
		return;
	test_alarm(0, NULL);
	if (life->volume)
		volume_abandon(life->volume);
	g_free(life);
}
