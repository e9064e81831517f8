/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How commands are counted: operations, and bytes of the volume.
 */
#include <string.h>

#include "common/base/bytes.h"
#include "common/base/units.h"
#include "tests/handler/fixture.h"
#include "tests/harness.h"

static Json *operations(Json *stats)
{
	return json_get_object(stats, "operations");
}

static Json *stats_of(const char *volume)
{
	g_autoptr(Json) request = json_object_new_object();

	json_add_text(request, "command", "stats");
	return fixture_ask(volume, request);
}

static const char *const kinds[] = {"read", "write", "discard", "compare_and_write", "flush"};

/* Checks that one more operation of that kind (NULL: none) and those bytes are counted. */
static void check_counted(Json *before, Json *after, const char *kind, guint64 bytes)
{
	for (guint i = 0; i < G_N_ELEMENTS(kinds); i++) {
		Json *old = json_get_object(operations(before), kinds[i]);
		Json *new = json_get_object(operations(after), kinds[i]);
		gboolean this = !g_strcmp0(kinds[i], kind);

		if (json_get_number(new, "count") - json_get_number(old, "count") != this ||
		    json_get_number(new, "bytes") - json_get_number(old, "bytes") !=
			    (gint64)(this ? bytes : 0))
			FAIL("%s: %" G_GINT64_FORMAT " more, of %" G_GINT64_FORMAT " bytes",
			     kinds[i],
			     json_get_number(new, "count") - json_get_number(old, "count"),
			     json_get_number(new, "bytes") - json_get_number(old, "bytes"));
		CHECK_INT(json_get_number(new, "errors"), json_get_number(old, "errors"));
	}
}

static const struct {
	const char *name;
	guint8 cdb[16];
	gsize length;
	guint8 fill;
	const char *kind;
	guint64 bytes;
} rows[] = {
	{"WRITE(10)", {0x2a, [8] = 8}, 4096, 'a', "write", 4096},
	{"WRITE(16) with FUA", {0x8a, 0x08, [13] = 8}, 4096, 'a', "write", 4096},
	{"WRITE(10) of nothing", {0x2a}, 0, 0, NULL, 0},
	{"READ(10)", {0x28, [8] = 8}, 4096, 0, "read", 4096},
	{"READ(10) with FUA", {0x28, 0x08, [8] = 8}, 4096, 0, "read", 4096},
	{"VERIFY(16)", {0x8f, [12] = 8}, 0, 0, "read", MIB},
	{"VERIFY(10) with one block", {0x2f, 0x06, [8] = 8}, 512, 'a', "read", 4096},
	{"WRITE AND VERIFY(10)", {0x2e, [8] = 8}, 4096, 'a', "write", 4096},
	{"ORWRITE", {0x8b, [13] = 8}, 4096, 'a', "write", 4096},
	{"WRITE ATOMIC", {0x9c, [13] = 8}, 4096, 'a', "write", 4096},
	{"COMPARE AND WRITE", {0x89, [13] = 1}, 1024, 'a', "compare_and_write", 512},
	{"WRITE SAME(16)", {0x93, [12] = 16}, 512, 'a', "write", 2 * MIB},
	{"WRITE SAME(16) of a pattern with UNMAP",
	 {0x93, 8, [12] = 1},
	 512,
	 'a',
	 "write",
	 128 * KIB},
	{"WRITE SAME(16) of zeros", {0x93, [12] = 16}, 512, 0, "discard", 2 * MIB},
	{"WRITE SAME(10) with UNMAP", {0x41, 8, [7] = 16}, 512, 0, "discard", 2 * MIB},
	{"WRITE SAME(16) without data", {0x93, 1, [12] = 16}, 0, 0, "discard", 2 * MIB},
	{"SYNCHRONIZE CACHE", {0x35}, 0, 0, "flush", 0},
	{"FORMAT UNIT", {0x04}, 0, 0, "discard", SIZE},
	{"SANITIZE", {0x48, 0x02}, 0, 0, "discard", SIZE},
	{"PRE-FETCH(10)", {0x34, [8] = 8}, 0, 0, NULL, 0},
	{"GET LBA STATUS", {0x9e, 0x12, [13] = 64}, 64, 0, NULL, 0},
	{"LOG SENSE", {0x4d, 0, 0x4c, [8] = 64}, 64, 0, NULL, 0},
	{"INQUIRY", {0x12, [4] = 96}, 96, 0, NULL, 0},
};

static void test_counts(const void *data)
{
	guint8 memory[4096];
	Dev dev;

	(void)data;
	REQUIRE(dev_open(&dev, "counts"));
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(Json) before = stats_of("counts");
		g_autoptr(Json) after = NULL;
		Command command;

		test_row("%s", rows[i].name);
		memset(memory, rows[i].fill, sizeof memory);
		command_init(&command, &dev, rows[i].cdb[0], memory, rows[i].length, 0);
		memcpy(command.cdb, rows[i].cdb, sizeof rows[i].cdb);
		CHECK_INT(command_send(&command), STS_OK);
		after = stats_of("counts");
		check_counted(before, after, rows[i].kind, rows[i].bytes);
		CHECK_INT(json_get_number(after, "in_flight"), 0);
	}
	dev_remove(&dev);
}

/* Blocks, not the descriptors that name them. */
static void test_unmap(const void *data)
{
	guint8 list[8 + 3 * 16] = {0, 54, 0, 48};
	g_autoptr(Json) before = NULL, after = NULL, none = NULL;
	Command command;
	Dev dev;

	(void)data;
	REQUIRE(dev_open(&dev, "unmaps"));
	for (guint i = 0; i < 3; i++) {
		put_be(list + 8 + 16 * i, i * 10000, 8);
		put_be(list + 8 + 16 * i + 8, 100 << i, 4);
	}
	before = stats_of("unmaps");
	command_init(&command, &dev, 0x42, list, sizeof list, 0);
	command.cdb[8] = sizeof list;
	CHECK_INT(command_send(&command), STS_OK);
	after = stats_of("unmaps");
	check_counted(before, after, "discard", 700 * 512);
	command_init(&command, &dev, 0x42, list, 8, 0);
	list[3] = 0; /* no descriptor */
	command.cdb[8] = 8;
	CHECK_INT(command_send(&command), STS_OK);
	none = stats_of("unmaps");
	check_counted(after, none, NULL, 0);
	dev_remove(&dev);
}

void stats_tests(void)
{
	test_add("commands count as what they do to the volume", test_counts, NULL);
	test_add("an UNMAP counts the blocks of its list", test_unmap, NULL);
}
