/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The properties that a volume keeps: durable, all or none, also if the power is cut at any
 * operation; kept by every later superblock; dropped as the format says.
 */
#include <errno.h>
#include <string.h>

#include "tests/backing/faulty.h"
#include "tests/backing/memory.h"
#include "common/base/logging.h"
#include "common/base/units.h"
#include "common/engine/superblock.h"
#include "common/engine/volume-properties.h"
#include "common/engine/volume-snapshots.h"
#include "tests/engine/support.h"

#define SIZE (2 * MIB)
#define DATA (SIZE / 2)

static const guint64 homes[] = {FORMAT_SUPERBLOCK_A, FORMAT_SUPERBLOCK_B};

static void no_log(LoggingLevel level, const char *line)
{
	(void)level, (void)line;
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

static void check_text(Volume *volume, const char *wanted)
{
	Properties properties;

	volume_get_properties(volume, &properties);
	CHECK_STR(properties.text, wanted);
}

static void check_content(Volume *volume)
{
	check_value(volume, 'k', DATA, 0);
	check_value(volume, 0, SIZE - DATA, DATA);
}

static const Property first[] = {{"description", "a database"}, {"label.team", "blue"}};
static const Property second[] = {{"label.team", ""}, {"scrub_rate", "1048576"}};

#define FIRST "description=a database\nlabel.team=blue\n"
#define SECOND "description=a database\nscrub_rate=1048576\n"

static void set(Volume *volume, const Property changes[2])
{
	g_autoptr(GError) error = NULL;

	CHECK(volume_set_properties(volume, changes, 2, &error));
	CHECK_NO_ERROR(error);
}

static void test_set(const void *data)
{
	g_autoptr(Backing) backing = backing_memory_new(0);
	Volume *volume = new_volume(backing);

	(void)data;
	check_text(volume, "");
	set(volume, first);
	check_text(volume, FIRST);
	volume_abandon(volume); /* durable before that */
	volume = backing_open_volume(backing);
	check_text(volume, FIRST);
	set(volume, second);
	close_volume(volume);
	backing_check(backing);
	for (guint i = 0; i < G_N_ELEMENTS(homes); i++) {
		FormatSuperblock raw;
		Superblock sb;

		test_row("superblock %u", i);
		CHECK_INT(backing_pread(backing, &raw, sizeof raw, homes[i]), 0);
		REQUIRE(superblock_decode(&raw, &sb, "b", NULL));
		CHECK_INT(sb.compatible, FORMAT_COMPATIBLE_PROPERTIES);
		CHECK_STR(sb.properties.text, SECOND);
	}
	volume = volume_open(backing_borrow(backing), "v", VOLUME_OPEN_READ_ONLY, NULL);
	REQUIRE(volume);
	check_text(volume, SECOND);
	check_content(volume);
	close_volume(volume);
}

/* The last one takes the feature bit with it: the superblock is as it was before. */
static void test_remove_all(const void *data)
{
	static const Property none[] = {{"description", ""}, {"label.team", ""}};
	g_autoptr(Backing) backing = backing_memory_new(0);
	Volume *volume = new_volume(backing);
	FormatSuperblock raw;

	(void)data;
	set(volume, first);
	set(volume, none);
	close_volume(volume);
	CHECK_INT(backing_pread(backing, &raw, sizeof raw, FORMAT_SUPERBLOCK_A), 0);
	CHECK_INT(raw.compatible, 0);
	for (guint i = 0; i < sizeof raw.properties; i++)
		CHECK(!raw.properties[i]);
}

static void test_refused(const void *data)
{
	static const Property bad[] = {{"label.team", "red"}, {"Description", "x"}};
	g_autoptr(Backing) backing = backing_memory_new(0);
	g_autoptr(GError) error = NULL;
	Volume *volume = new_volume(backing);

	(void)data;
	set(volume, first);
	CHECK(!volume_set_properties(volume, bad, 2, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_INVALID, "invalid property 'Description'");
	check_text(volume, FIRST);
	close_volume(volume);
	g_clear_error(&error);
	volume = volume_open(backing_borrow(backing), "v", VOLUME_OPEN_READ_ONLY, NULL);
	REQUIRE(volume);
	check_text(volume, FIRST);
	CHECK(!volume_set_properties(volume, first, 2, &error));
	CHECK(error && strstr(error->message, "v: change the properties: "));
	close_volume(volume);
}

static void test_format_with(const void *data)
{
	const Properties properties = {FIRST};
	const VolumeParameters parameters = {.size = SIZE, .properties = &properties};
	g_autoptr(Backing) backing = backing_memory_new(0);
	Volume *volume;

	(void)data;
	CHECK(volume_format(backing, &parameters, NULL));
	volume = backing_open_volume(backing);
	check_text(volume, FIRST);
	close_volume(volume);
}

/* Writes both superblocks anew, as a program with other features would. */
static void superblocks_rewrite(Backing *backing, guint64 compatible, const char *text)
{
	for (guint i = 0; i < G_N_ELEMENTS(homes); i++) {
		FormatSuperblock raw;

		CHECK_INT(backing_pread(backing, &raw, sizeof raw, homes[i]), 0);
		raw.compatible = GUINT64_TO_LE(compatible);
		memset(raw.properties, 0, sizeof raw.properties);
		memcpy(raw.properties, text, strlen(text));
		raw.crc = GUINT32_TO_LE(seal_superblock(&raw));
		CHECK_INT(backing_pwrite(backing, &raw, sizeof raw, homes[i]), 0);
	}
}

/* What a later version may keep, and what nobody should have written. */
static void test_strange(const void *data)
{
	static const Property one[] = {{"description", "mine"}};
	g_autoptr(Backing) backing = backing_memory_new(0);
	Volume *volume = new_volume(backing);

	(void)data;
	close_volume(volume);
	superblocks_rewrite(backing, FORMAT_COMPATIBLE_PROPERTIES | 1 << 7,
			    "Broken\nx.later=\xc3\xa4\nx.more=1\nx.more=2\n");
	backing_check(backing);
	volume = backing_open_volume(backing);
	CHECK_INT(volume_checkpoint(volume), 0);
	check_content(volume);
	CHECK(volume_set_properties(volume, one, 1, NULL));
	check_text(volume, "description=mine\nx.later=\xc3\xa4\nx.more=1\n");
	close_volume(volume);
	backing_check(backing);

	test_row("without the bit");
	superblocks_rewrite(backing, 1 << 7, "description=not valid any more\n");
	backing_check(backing);
	volume = backing_open_volume(backing);
	check_text(volume, "");
	check_content(volume);
	close_volume(volume);
	volume = backing_open_volume(backing);
	check_text(volume, "");
	close_volume(volume);
	backing_check(backing);
}

/* Everything else that writes superblocks keeps them. */
static void test_kept(const void *data)
{
	const VolumeSnapshotParameters parameters = {.name = "s"};
	g_autoptr(Backing) backing = backing_memory_new(0);
	Volume *volume = new_volume(backing);
	guint64 snapshot;

	(void)data;
	set(volume, first);
	CHECK(volume_snapshot_begin(volume, &parameters, &snapshot, NULL));
	CHECK(volume_snapshot_wait(volume, snapshot, 60, NULL));
	CHECK_INT(volume_put_value(volume, 'x', DATA, 0), 0);
	CHECK(volume_rollback(volume, "s", VOLUME_ROLLBACK_DISCARD, NULL, NULL));
	CHECK(volume_snapshot_delete(volume, "s", 0, NULL));
	CHECK(volume_resize(volume, 2 * SIZE, 0, 60, NULL));
	CHECK(volume_renew_uuid(volume, NULL));
	CHECK_INT(volume_checkpoint(volume), 0);
	check_text(volume, FIRST);
	volume_abandon(volume);
	volume = backing_open_volume(backing); /* recovery */
	check_text(volume, FIRST);
	close_volume(volume);
	backing_check(backing);
}

static void test_full_disk(const void *data)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	g_autoptr(GError) error = NULL;
	Volume *volume = new_volume(backing);

	(void)data;
	backing_faulty_fail(backing, FAULTY_MODIFY, 0, ENOSPC, TRUE, FALSE);
	CHECK(!volume_set_properties(volume, first, 2, &error));
	CHECK(error && strstr(error->message, "but not durably before the next checkpoint"));
	backing_faulty_fail(backing, 0, 0, 0, FALSE, FALSE);
	check_text(volume, FIRST);
	CHECK_INT(volume_checkpoint(volume), 0);
	volume_abandon(volume);
	volume = backing_open_volume(backing);
	check_text(volume, FIRST);
	close_volume(volume);
}

/* ---- power cuts */

static void check_left(Backing *left, gboolean durable)
{
	Properties properties;
	Volume *volume;

	if (!backing_check(left))
		return;
	volume = backing_open_volume(left);
	REQUIRE(volume);
	volume_get_properties(volume, &properties);
	if (durable || strcmp(properties.text, FIRST) != 0)
		CHECK_STR(properties.text, SECOND);
	check_content(volume);
	set(volume, second);
	check_text(volume, SECOND);
	close_volume(volume);
	backing_check(left);
}

/* FALSE if the call ended before that operation. */
static gboolean cut_at(guint64 point, gboolean crashed)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	TestRandom random = test_random_new(test_seed() + point);
	Volume *volume = new_volume(backing);
	gboolean done;
	guint64 before;

	set(volume, first);
	if (crashed)
		volume_abandon(volume);
	else
		close_volume(volume);
	before = backing_faulty_count(backing, FAULTY_MODIFY);
	backing_faulty_fail(backing, FAULTY_MODIFY, point, EIO, TRUE, TRUE);
	volume = volume_open(backing_borrow(backing), "cut", 0, NULL);
	done = volume && volume_set_properties(volume, second, 2, NULL);
	if (volume)
		volume_close(volume, NULL);
	for (guint i = 0; i < 6 && !test_failed(); i++) {
		g_autoptr(Backing) left =
			backing_faulty_crash(backing, FAULTY_CRASH_SEED(i, &random));

		test_row("stopped at operation %" G_GUINT64_FORMAT ", crash %u, %s", point, i,
			 crashed ? "crashed before" : "closed before");
		check_left(left, done);
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
	test_add("what is set is durable, in both superblocks, and readable", test_set, NULL);
	test_add("the last one that is removed leaves no trace", test_remove_all, NULL);
	test_add("a bad change, or one of a volume open for reading, changes nothing", test_refused,
		 NULL);
	test_add("a new volume has what it was made with", test_format_with, NULL);
	test_add("properties of a later version survive, broken ones do no harm", test_strange,
		 NULL);
	test_add("snapshots, resizes and recovery keep them", test_kept, NULL);
	test_add("a full disk delays them, and says so", test_full_disk, NULL);
	test_add("power cuts while a closed volume's are set", test_crash, NULL);
	test_add("power cuts while a crashed volume's are set", test_crash, "crashed");
	return test_run(argc, argv);
}
