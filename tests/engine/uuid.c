/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A volume gets a new UUID, interrupted by a crash at every operation.
 */
#include <errno.h>

#include "tests/backing/faulty.h"
#include "tests/backing/memory.h"
#include "common/base/logging.h"
#include "common/engine/superblock.h"
#include "common/base/units.h"
#include "tests/engine/support.h"

#define SIZE (2 * MIB)
#define DATA (SIZE / 2)

static void no_log(LoggingLevel level, const char *line)
{
	(void)level, (void)line;
}

static void get_uuid(Volume *volume, char uuid[UUID_TEXT])
{
	VolumeInfo info;

	volume_get_info(volume, &info);
	g_strlcpy(uuid, info.uuid, UUID_TEXT);
}

static Volume *new_volume(Backing *backing)
{
	const VolumeParameters parameters = {.size = SIZE, .journal_size = MIB};
	Volume *volume;

	CHECK(volume_format(backing, &parameters, NULL));
	volume = backing_open_volume(backing);
	CHECK_INT(volume_put_value(volume, 'k', DATA, 0), 0);
	CHECK_INT(volume_flush(volume), 0);
	return volume;
}

static void test_renew(const void *data)
{
	static const guint64 homes[] = {FORMAT_SUPERBLOCK_A, FORMAT_SUPERBLOCK_B};
	g_autoptr(Backing) backing = backing_memory_new(0);
	Volume *volume = new_volume(backing);
	char before[UUID_TEXT], after[UUID_TEXT], text[UUID_TEXT];
	g_autoptr(GError) error = NULL;

	(void)data;
	get_uuid(volume, before);
	CHECK(volume_renew_uuid(volume, &error));
	CHECK_NO_ERROR(error);
	get_uuid(volume, after);
	CHECK(strcmp(before, after) != 0);
	CHECK(g_uuid_string_is_valid(after));
	close_volume(volume);
	backing_check(backing);
	for (guint i = 0; i < G_N_ELEMENTS(homes); i++) {
		FormatSuperblock raw;
		Superblock sb;

		test_row("superblock %u", i);
		CHECK_INT(backing_pread(backing, &raw, sizeof raw, homes[i]), 0);
		REQUIRE(superblock_decode(&raw, &sb, "b", NULL));
		uuid_format(sb.uuid, text);
		CHECK_STR(text, after);
	}
	volume = backing_open_volume(backing);
	get_uuid(volume, text);
	CHECK_STR(text, after);
	check_value(volume, 'k', DATA, 0);
	check_value(volume, 0, SIZE - DATA, DATA);
	close_volume(volume);
}

static void test_read_only(const void *data)
{
	g_autoptr(Backing) backing = backing_memory_new(0);
	g_autoptr(GError) error = NULL;
	Volume *volume = new_volume(backing);

	(void)data;
	close_volume(volume);
	volume = volume_open(backing_borrow(backing), "v", VOLUME_OPEN_READ_ONLY, NULL);
	REQUIRE(volume);
	CHECK(!volume_renew_uuid(volume, &error));
	CHECK(error && strstr(error->message, "v: change the UUID: "));
	close_volume(volume);
}

/* `new`: the UUID that the volume must have; NULL: it may have kept `old`. */
static void check_left(Backing *left, const char *old, const char *new)
{
	char uuid[UUID_TEXT];
	Volume *volume;

	if (!backing_check(left))
		return;
	volume = backing_open_volume(left);
	REQUIRE(volume);
	get_uuid(volume, uuid);
	if (new)
		CHECK_STR(uuid, new);
	else if (strcmp(uuid, old))
		CHECK(g_uuid_string_is_valid(uuid));
	check_value(volume, 'k', DATA, 0);
	check_value(volume, 0, SIZE - DATA, DATA);
	CHECK(volume_renew_uuid(volume, NULL));
	close_volume(volume);
	backing_check(left);
}

/* FALSE if the call ended before that operation.  The volume was closed, or its process died. */
static gboolean cut_at(guint64 point, gboolean crashed)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	TestRandom random = test_random_new(test_seed() + point);
	Volume *volume = new_volume(backing);
	char old[UUID_TEXT], new[UUID_TEXT] = "";
	guint64 before;

	get_uuid(volume, old);
	if (crashed)
		volume_abandon(volume);
	else
		close_volume(volume);
	before = backing_faulty_count(backing, FAULTY_MODIFY);
	backing_faulty_fail(backing, FAULTY_MODIFY, point, EIO, TRUE, TRUE);
	volume = volume_open(backing_borrow(backing), "cut", 0, NULL);
	if (volume && volume_renew_uuid(volume, NULL))
		get_uuid(volume, new);
	if (volume)
		volume_close(volume, NULL);
	for (guint i = 0; i < 6 && !test_failed(); i++) {
		g_autoptr(Backing) left =
			backing_faulty_crash(backing, FAULTY_CRASH_SEED(i, &random));

		test_row("stopped at operation %" G_GUINT64_FORMAT ", crash %u, %s", point, i,
			 crashed ? "crashed before" : "closed before");
		check_left(left, old, *new ? new : NULL);
	}
	return backing_faulty_count(backing, FAULTY_MODIFY) - before > point;
}

static void test_crash(const void *crashed)
{
	guint64 stride = test_is_instrumented() ? 5 : 1; /* with a sanitizer, a sample */
	guint64 point = test_seed() % stride;

	while (cut_at(point, crashed != NULL) && !test_failed())
		point += stride;
	CHECK(point > 5);
}

int main(int argc, char **argv)
{
	logging_set_sink(no_log);
	test_add("a new UUID is in both superblocks, and changes nothing else", test_renew, NULL);
	test_add("a volume that is open for reading keeps its UUID", test_read_only, NULL);
	test_add("power cuts while a closed volume gets a UUID", test_crash, NULL);
	test_add("power cuts while a crashed volume gets a UUID", test_crash, "crashed");
	return test_run(argc, argv);
}
