/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random requests from several threads against a flat array.
 *
 * Each thread has a stretch of the volume to itself and knows every byte of it.  Stretches begin
 * and end at any sector, so that neighbours share blocks but no sector.  Behind the stretches of
 * a large volume lies space that is only ever discarded.  Between two phases no request runs: the
 * volume is checkpointed, closed or abandoned (as by the death of the process), and opened
 * again.  Nothing that was acknowledged may be missing (I2).
 *
 * The volume grows while requests run.  Between two phases it is sometimes shrunk to its first
 * size, which discards everything behind that.
 */
#include <errno.h>

#include "common/base/units.h"
#include "tests/engine/support.h"

#define THREADS 4
#define PHASES 6
#define BATCH 20
#define REQUEST_MAX (2 * MIB)
#define STRETCH_MAX (3 * MIB)
#define RESIZE_SECONDS 60

typedef struct {
	const char *name;
	guint64 size;
	guint requests; /* of each thread in each phase */
} Shape;

static const Shape shapes[] = {
	{"1 MiB", MIB, 150},
	{"an odd size", 9 * MIB + 7 * SECTOR_SIZE, 150},
	{"1 TiB", TIB, 150},
	{"64 TiB", VOLUME_SIZE_MAX, 100},
};

typedef struct {
	Volume *volume;
	guint64 start;	/* in the volume */
	gsize length;	/* of the stretch */
	guint64 behind; /* bytes behind the stretch that no thread writes */
	guint8 *flat;	/* the content of the stretch */
	guint8 *buffer; /* as long */
	guint requests;
	TestRandom random;
} Stretch;

typedef struct {
	Place *place;
	Volume *volume;
	guint64 size;
	guint requests;
	TestRandom random;
	Stretch stretches[THREADS];
} Model;

static guint64 sectors(guint64 n)
{
	return n * SECTOR_SIZE;
}

/* A range of whole sectors of a stretch: often small, often aligned to blocks. */
static void choose_range(Stretch *s, gsize *ret_offset, gsize *ret_length)
{
	static const gsize limits[] = {4096, 4096, 16384, 16384, 65536, MIB, REQUEST_MAX};
	gsize limit = limits[test_random_below(&s->random, G_N_ELEMENTS(limits))];
	gsize offset = sectors(test_random_below(&s->random, s->length / SECTOR_SIZE));
	gsize length;

	if (test_random_below(&s->random, 2))
		offset &= ~(gsize)(BLOCK_SIZE - 1);
	limit = MIN(limit, s->length - offset);
	length = sectors(1 + test_random_below(&s->random, limit / SECTOR_SIZE));
	if (test_random_below(&s->random, 2) && length > BLOCK_SIZE)
		length &= ~(gsize)(BLOCK_SIZE - 1);
	*ret_offset = offset;
	*ret_length = length;
}

static void do_write(Stretch *s, gsize offset, gsize length)
{
	struct iovec iov[9];
	int count = cut_vector(&s->random, s->flat + offset, length, iov, G_N_ELEMENTS(iov));
	int result = -EAGAIN;

	test_random_fill(&s->random, s->flat + offset, length);
	if (length <= VOLUME_ATOMIC_MAX && test_random_below(&s->random, 2))
		result = volume_write_nowait(s->volume, iov, count, s->start + offset, NULL);
	if (result == -EAGAIN)
		result = volume_write(s->volume, iov, count, s->start + offset, NULL);
	CHECK_INT(result, 0);
}

/* Writes of one batch: some overlap, some are not of whole blocks. */
static void do_batch(Stretch *s)
{
	VolumeWrite writes[BATCH] = {0};
	struct iovec iov[BATCH];
	guint n = 1 + (guint)test_random_below(&s->random, BATCH);

	for (guint i = 0; i < n; i++) {
		gsize offset, length;

		choose_range(s, &offset, &length);
		if (test_random_below(&s->random, 4) && s->start % BLOCK_SIZE == 0 &&
		    s->length > 2 * BLOCK_SIZE) {
			gsize most = BLOCK_SIZE << test_random_below(&s->random, 3);

			offset = test_random_below(&s->random, s->length / BLOCK_SIZE) * BLOCK_SIZE;
			length = MIN(most, s->length - offset);
		}
		test_random_fill(&s->random, s->flat + offset, length);
		iov[i] = (struct iovec){g_memdup(s->flat + offset, (guint)length), length};
		writes[i] = (VolumeWrite){
			.iov = &iov[i], .n_iov = 1, .offset = s->start + offset, .result = -1};
	}
	volume_write_batch(s->volume, writes, n);
	for (guint i = 0; i < n; i++) {
		CHECK_INT(writes[i].result, 0);
		g_free(iov[i].iov_base);
	}
}

static void do_zero(Stretch *s, gsize offset, gsize length)
{
	guint64 more = 0;

	if (offset + length == s->length || test_random_below(&s->random, 8) == 0) {
		length = s->length - offset; /* to the end of the stretch, and beyond */
		more = s->behind ? sectors(test_random_below(&s->random, s->behind / SECTOR_SIZE))
				 : 0;
	}
	if (test_random_below(&s->random, 2))
		CHECK_INT(volume_zero(s->volume, s->start + offset, length + more), 0);
	else
		CHECK_INT(volume_discard(s->volume, s->start + offset, length + more), 0);
	memset(s->flat + offset, 0, length);
}

static void do_read(Stretch *s, gsize offset, gsize length)
{
	struct iovec iov[9];
	int count = cut_vector(&s->random, s->buffer, length, iov, G_N_ELEMENTS(iov));
	int result = -EAGAIN;

	memset(s->buffer, 0xee, length);
	if (test_random_below(&s->random, 2))
		result = volume_read_nowait(s->volume, iov, count, s->start + offset, NULL);
	if (result == -EAGAIN)
		result = volume_read(s->volume, iov, count, s->start + offset, NULL);
	CHECK_INT(result, 0);
	CHECK_MEM(s->buffer, s->flat + offset, length);
}

/* In half of the calls, one byte is not as expected. */
static void do_compare_and_write(Stretch *s, gsize offset, gsize length)
{
	gboolean differ = test_random_below(&s->random, 2) == 0;
	g_autofree guint8 *data = NULL;
	struct iovec expected, wanted;
	guint64 at = 1;
	gsize byte;

	length = MIN(length, VOLUME_ATOMIC_MAX);
	byte = test_random_below(&s->random, length);
	data = g_malloc(length);
	test_random_fill(&s->random, data, length);
	memcpy(s->buffer, s->flat + offset, length);
	s->buffer[byte] = (guint8)(s->buffer[byte] ^ (differ ? 0x10 : 0));
	expected = (struct iovec){.iov_base = s->buffer, .iov_len = length};
	wanted = (struct iovec){.iov_base = data, .iov_len = length};
	CHECK_INT(volume_compare_and_write(s->volume, &expected, 1, &wanted, 1, s->start + offset,
					   &at),
		  differ ? -EILSEQ : 0);
	CHECK_UINT(at, differ ? s->start + offset + byte : 1);
	if (!differ)
		memcpy(s->flat + offset, data, length);
}

static void do_request(Stretch *s, guint number)
{
	guint64 kind = test_random_below(&s->random, 100);
	gsize offset, length;

	choose_range(s, &offset, &length);
	test_row("stretch at %" G_GUINT64_FORMAT " request %u kind %" G_GUINT64_FORMAT
		 ": %zu bytes at %zu",
		 s->start, number, kind, length, offset);
	if (kind < 40)
		do_write(s, offset, length);
	else if (kind < 50)
		do_batch(s);
	else if (kind < 65)
		do_zero(s, offset, length);
	else if (kind < 88)
		do_read(s, offset, length);
	else if (kind < 94)
		do_compare_and_write(s, offset, length);
	else if (kind < 98)
		CHECK_INT(volume_flush(s->volume), 0);
	else
		CHECK_INT(volume_checkpoint(s->volume), 0);
}

static gpointer run_stretch(gpointer data)
{
	Stretch *s = data;

	for (guint i = 0; i < s->requests && !test_failed(); i++)
		do_request(s, i);
	return NULL;
}

static void check_stretches(Model *model, const char *when)
{
	for (guint i = 0; i < THREADS; i++) {
		Stretch *s = &model->stretches[i];

		test_row("stretch at %" G_GUINT64_FORMAT " %s", s->start, when);
		memset(s->buffer, 0xee, s->length);
		CHECK_INT(volume_get(model->volume, s->buffer, s->length, s->start), 0);
		CHECK_MEM(s->buffer, s->flat, s->length);
		if (s->behind)
			check_value(model->volume, 0, MIN(s->behind, MIB), s->start + s->length);
	}
	test_row(NULL);
}

static void resize(Model *model, guint64 size, VolumeResizeFlags flags)
{
	g_autoptr(GError) error = NULL;

	test_row("to %" G_GUINT64_FORMAT " bytes", size);
	CHECK(volume_resize(model->volume, size, flags, RESIZE_SECONDS, &error));
	CHECK_NO_ERROR(error);
	CHECK_UINT(volume_size(model->volume), size);
	test_row(NULL);
}

/* Grows the volume by little or by much; the new blocks read as zeros. */
static void grow(Model *model)
{
	guint64 size = volume_size(model->volume), room = VOLUME_SIZE_MAX - size;
	guint64 limit = (guint64)1 << (10 + test_random_below(&model->random, 37));
	guint64 by = sectors(test_random_below(&model->random, MIN(limit, room) / SECTOR_SIZE + 1));

	resize(model, size + by, 0);
	if (by) {
		check_value(model->volume, 0, MIN(by, MIB), size);
		check_value(model->volume, 0, MIN(by, MIB), size + by - MIN(by, MIB));
		CHECK_INT(volume_put_value(model->volume, 'n', MIN(by, MIB), size), 0);
	}
}

static void shrink(Model *model)
{
	if (test_random_below(&model->random, 2))
		resize(model, model->size, VOLUME_RESIZE_SHRINK | VOLUME_RESIZE_DISCARD);
}

static void run_phase(Model *model)
{
	GThread *threads[THREADS];

	for (guint i = 0; i < THREADS; i++) {
		Stretch *s = &model->stretches[i];

		s->volume = model->volume;
		s->requests = model->requests / (test_is_instrumented() ? 4 : 1);
		threads[i] = g_thread_new("requests", run_stretch, s);
	}
	grow(model);
	for (guint i = 0; i < THREADS; i++)
		g_thread_join(threads[i]);
	check_stretches(model, "after its phase");
	shrink(model);
}

/* Closes the volume in a random way, and opens it again. */
static void reopen(Model *model)
{
	guint64 how = test_random_below(&model->random, 4);

	if (how == 0) {
		CHECK_INT(volume_checkpoint(model->volume), 0);
		return;
	}
	if (how == 1)
		close_volume(model->volume);
	else
		volume_abandon(model->volume);
	model->volume = NULL;
	if (place_check(model->place))
		model->volume = place_open(model->place);
	if (model->volume)
		check_stretches(model, how == 1 ? "after close" : "after abandon");
}

static void init_stretch(Model *model, guint i)
{
	Stretch *s = &model->stretches[i];
	guint64 share = model->size / THREADS / SECTOR_SIZE * SECTOR_SIZE;

	s->random = test_random_new(test_random(&model->random));
	s->start = share * i;
	s->length = i == THREADS - 1 ? model->size - s->start : share;
	if (s->length > STRETCH_MAX) {
		s->behind = s->length - STRETCH_MAX;
		s->length = STRETCH_MAX;
		if (i == THREADS - 1) { /* the last bytes of the volume */
			s->start += s->behind;
			s->behind = 0;
		}
	}
	s->flat = g_malloc0(s->length);
	s->buffer = g_malloc(s->length);
}

static void run_model(Place *place, const Shape *shape)
{
	Model model = {.place = place,
		       .size = shape->size,
		       .requests = shape->requests,
		       .random = test_random_new(test_seed())};

	if (!place_format(place, shape->size, VOLUME_SIZE_MIN * 4))
		return;
	model.volume = place_open(place);
	for (guint i = 0; i < THREADS; i++)
		init_stretch(&model, i);
	for (guint phase = 0; phase < PHASES && model.volume && !test_failed(); phase++) {
		run_phase(&model);
		reopen(&model);
	}
	if (model.volume)
		close_volume(model.volume);
	place_check(place);
	for (guint i = 0; i < THREADS; i++) {
		g_free(model.stretches[i].flat);
		g_free(model.stretches[i].buffer);
	}
}

static void test_memory(const void *data)
{
	g_autoptr(Place) place = place_new_memory();

	run_model(place, data);
}

static void test_file(const void *data)
{
	g_autoptr(Place) place = place_new_file();

	run_model(place, data);
}

/* More buffers than one system call takes, some of them empty. */
static guint make_pieces(struct iovec *iov, guint8 *data, gsize length, gsize step)
{
	guint n = 0;

	for (gsize at = 0; at < length; at += step) {
		iov[n++] = (struct iovec){data + at, MIN(step, length - at)};
		if (n % 5 == 0)
			iov[n++] = (struct iovec){NULL, 0};
	}
	return n;
}

static void test_many_pieces(const void *data)
{
	static guint8 wanted[MIB + 3 * SECTOR_SIZE], got[sizeof wanted];
	static struct iovec iov[2 * sizeof wanted / 200];
	TestRandom random = test_random_new(test_seed());

	(void)data;
	for (guint i = 0; i < 2; i++) {
		g_autoptr(Place) place = i ? place_new_file() : place_new_memory();
		Volume *volume = place_format(place, 8 * MIB, 0) ? place_open(place) : NULL;
		int n;

		REQUIRE(volume);
		test_random_fill(&random, wanted, sizeof wanted);
		n = (int)make_pieces(iov, wanted, sizeof wanted, 300);
		CHECK_INT(volume_write(volume, iov, n, 5 * SECTOR_SIZE, NULL), 0);
		n = (int)make_pieces(iov, got, sizeof got, 700);
		CHECK_INT(volume_read(volume, iov, n, 5 * SECTOR_SIZE, NULL), 0);
		CHECK_MEM(got, wanted, sizeof got);
		close_volume(volume);
		place_check(place);
	}
}

int main(int argc, char **argv)
{
	for (guint i = 0; i < G_N_ELEMENTS(shapes); i++) {
		g_autofree char *memory = g_strdup_printf("memory: %s", shapes[i].name);
		g_autofree char *file = g_strdup_printf("file: %s", shapes[i].name);

		test_add(memory, test_memory, &shapes[i]);
		test_add(file, test_file, &shapes[i]);
	}
	test_add("a request of thousands of pieces", test_many_pieces, NULL);
	return test_run(argc, argv);
}
