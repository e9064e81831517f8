/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The properties of direct volumes: kept by the backing, whoever else changes them there.
 */
#include <errno.h>

#include "common/base/error.h"
#include "common/base/units.h"
#include "common/engine/direct.h"
#include "common/engine/volume-properties.h"
#include "tests/backing/memory.h"
#include "tests/engine/support.h"

#define SIZE (2 * MIB)

static const guint8 uuid[16] = {1, 2, 3};

/* What the backing keeps, and what others do to it. */
static char kept[2 * sizeof(Properties)];
static int answer;	       /* of both functions; 0: they do as they are told */
static const char *interloper; /* is written by others before the next write, or NULL */
static gboolean stays;	       /* and before each one after it */

static int keep_read(Backing *backing, char *ret_text, gsize size)
{
	(void)backing;
	if (answer)
		return answer;
	return g_strlcpy(ret_text, kept, size) < size ? 0 : -EBADMSG;
}

static int keep_write(Backing *backing, const char *before, const char *text)
{
	static guint others;

	(void)backing;
	if (interloper && stays)
		g_snprintf(kept, sizeof kept, "%s%u", interloper, ++others);
	else if (interloper)
		g_strlcpy(kept, g_steal_pointer(&interloper), sizeof kept);
	if (answer || strcmp(kept, before) != 0)
		return answer ? answer : -ECANCELED;
	g_strlcpy(kept, text, sizeof kept);
	return 0;
}

static gboolean keep_take_over(Backing *backing, const char *client, GError **error)
{
	(void)backing, (void)client, (void)error;
	return TRUE;
}

static Volume *open_keeping(const char *text, VolumeOpenFlags flags, GError **error)
{
	static BackingOps ops;
	Backing *backing = backing_memory_new(0);

	ops = *backing->ops;
	ops.read_properties = keep_read;
	ops.write_properties = keep_write;
	ops.take_over = keep_take_over;
	backing->ops = &ops;
	if (text)
		g_strlcpy(kept, text, sizeof kept);
	CHECK_INT(backing_grow(backing, SIZE), 0);
	return direct_open(backing, "test", uuid, flags, error);
}

static void check_text(Volume *volume, const char *wanted)
{
	Properties properties;

	volume_get_properties(volume, &properties);
	CHECK_STR(properties.text, wanted);
}

static const Property changes[] = {{"label.a", ""}, {"label.c", "3"}};

static gboolean change(Volume *volume, GError **error)
{
	return volume_set_properties(volume, changes, G_N_ELEMENTS(changes), error);
}

static void test_kept(const void *data)
{
	const VolumeOpenFlags *flags = data;
	g_autoptr(GError) error = NULL;
	Volume *volume = open_keeping("label.a=1\nlabel.b=2\n", *flags, &error);

	REQUIRE(CHECK_NO_ERROR(error) && volume);
	check_text(volume, "label.a=1\nlabel.b=2\n");
	CHECK(change(volume, &error));
	CHECK_NO_ERROR(error);
	check_text(volume, "label.b=2\nlabel.c=3\n");
	CHECK_STR(kept, "label.b=2\nlabel.c=3\n");
	close_volume(volume);
	volume = open_keeping(NULL, *flags, NULL);
	REQUIRE(volume);
	check_text(volume, "label.b=2\nlabel.c=3\n");
	close_volume(volume);
}

static void test_others(const void *data)
{
	g_autoptr(GError) error = NULL;
	Volume *volume = open_keeping("label.a=1\n", 0, NULL);

	(void)data;
	REQUIRE(volume);
	interloper = "label.a=1\nlabel.b=theirs\n";
	CHECK(change(volume, NULL));
	check_text(volume, "label.b=theirs\nlabel.c=3\n");
	CHECK_STR(kept, "label.b=theirs\nlabel.c=3\n");
	test_row("all the time");
	interloper = "!";
	stays = TRUE;
	CHECK(!change(volume, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_BUSY, "others are changing its properties");
	check_text(volume, "label.b=theirs\nlabel.c=3\n");
	interloper = NULL;
	stays = FALSE;
	close_volume(volume);
}

static void test_refused(const void *data)
{
	static const Property bad[] = {{"label.c", "3"}, {"A", "1"}};
	g_autoptr(GError) invalid = NULL, read_only = NULL;
	Volume *volume = open_keeping("label.a=1\n", 0, NULL);

	(void)data;
	REQUIRE(volume);
	CHECK(!volume_set_properties(volume, bad, 2, &invalid));
	CHECK_ERROR(invalid, STORAGEOS_ERROR_INVALID, "invalid property 'A'");
	check_text(volume, "label.a=1\n");
	close_volume(volume);
	volume = open_keeping(NULL, VOLUME_OPEN_READ_ONLY, NULL);
	REQUIRE(volume);
	CHECK(!change(volume, &read_only));
	CHECK_ERROR(read_only, STORAGEOS_ERROR_IO, "Read-only");
	CHECK_STR(kept, "label.a=1\n");
	close_volume(volume);
}

static void test_strange(const void *data)
{
	g_autofree char *long_text = g_strnfill(sizeof(Properties), 'x');
	g_autoptr(GError) error = NULL;
	Volume *volume = open_keeping(long_text, 0, NULL);

	(void)data;
	REQUIRE(volume);
	check_text(volume, "");
	CHECK(!change(volume, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_INVALID, "no text of at most 2047 bytes");
	CHECK_STR(kept, long_text);
	close_volume(volume);
}

static void test_silent(const void *data)
{
	g_autoptr(GError) changing = NULL, opening = NULL;
	Volume *volume = open_keeping("label.a=1\n", 0, NULL);

	(void)data;
	REQUIRE(volume);
	answer = -ETIMEDOUT;
	CHECK(!change(volume, &changing));
	CHECK_ERROR(changing, STORAGEOS_ERROR_IO, "does not answer; its properties may still be");
	check_text(volume, "label.a=1\n");
	close_volume(volume);
	CHECK(!open_keeping(NULL, 0, &opening));
	CHECK_ERROR(opening, STORAGEOS_ERROR_IO, "read its properties");
	answer = 0;
}

int main(int argc, char **argv)
{
	static const VolumeOpenFlags none = 0, standby = VOLUME_OPEN_STANDBY;

	test_add("they are where the backing keeps them", test_kept, &none);
	test_add("on standby, too", test_kept, &standby);
	test_add("what others change meanwhile stays", test_others, NULL);
	test_add("a change that is refused changes nothing", test_refused, NULL);
	test_add("what is no text of properties counts as none, and stays", test_strange, NULL);
	test_add("a storage that does not answer is an error", test_silent, NULL);
	return test_run(argc, argv);
}
