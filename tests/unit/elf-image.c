/* SPDX-License-Identifier: Apache-2.0 */
#include "common/machine/elf-image.h"

#include <stdio.h>

#include "tests/harness.h"

/* The dynamic linker itself. */
#define SMALL "/ld-linux"

/* Reads the file of a library that this program has loaded into *ret_data. */
static gboolean load_library(const char *name, char **ret_data, ElfImage *ret_image)
{
	g_autofree char *maps = NULL;
	const char *end, *start;
	g_autofree char *path = NULL;

	if (!g_file_get_contents("/proc/self/maps", &maps, NULL, NULL) ||
	    !(end = strstr(maps, name)))
		return FALSE;
	for (start = end; start > maps && start[-1] != ' '; start--)
		;
	path = g_strndup(start, strcspn(start, "\n"));
	if (!g_file_get_contents(path, ret_data, &ret_image->length, NULL))
		return FALSE;
	ret_image->data = (const guint8 *)*ret_data;
	return TRUE;
}

static void test_library(const void *data G_GNUC_UNUSED)
{
	g_autofree char *content = NULL;
	g_autofree char *libc = NULL;
	g_autofree char *none = NULL;
	ElfImage image;

	REQUIRE(load_library("/libglib-2.0.so", &content, &image));
	CHECK(elf_image_exports(&image, "g_malloc"));
	CHECK(elf_image_exports(&image, "g_strdup"));
	CHECK(!elf_image_exports(&image, "g_mallo"));
	CHECK(!elf_image_exports(&image, ""));
	test_row("what it imports");
	CHECK(!elf_image_exports(&image, "memcpy"));
	libc = elf_image_needs(&image, "libc.so.");
	CHECK_STR(libc, "libc.so.6");
	none = elf_image_needs(&image, "libtcmu.so.");
	CHECK(!none);
}

static gboolean is_wanted(const char *text)
{
	return g_str_has_prefix(text, "want");
}

static void test_texts(const void *data G_GNUC_UNUSED)
{
	static const char bytes[] = "want\n\0unwanted\0\0x\0wan\0\x80want\0wanted\0wants\0";
	static const char open[] = {'x', '\0', 'w', 'a', 'n', 't'};
	ElfImage image = {(const guint8 *)bytes, sizeof bytes - 1};
	g_autofree char *found = elf_image_find_text(&image, is_wanted);
	g_autofree char *nothing = NULL;

	CHECK_STR(found, "wanted");
	image = (ElfImage){(const guint8 *)open, sizeof open};
	nothing = elf_image_find_text(&image, is_wanted);
	CHECK(!nothing);
}

static void examine(const ElfImage *image)
{
	g_autofree char *needed G_GNUC_UNUSED = elf_image_needs(image, "lib");
	g_autofree char *text G_GNUC_UNUSED = elf_image_find_text(image, is_wanted);

	elf_image_exports(image, "no_such_symbol");
}

/* Uses copies of the exact length, so that a sanitizer finds each read beyond the end. */
static void test_truncated(const void *data G_GNUC_UNUSED)
{
	g_autofree char *content = NULL;
	ElfImage image;

	REQUIRE(load_library(SMALL, &content, &image));
	for (gsize length = 0; length < image.length;
	     length += length < 1024 ? 1 : image.length / 50) {
		g_autofree guint8 *copy = g_malloc(length + 1);
		const ElfImage part = {copy, length};

		memcpy(copy, image.data, length);
		copy[length] = '\0';
		examine(&part);
	}
}

static void test_damaged(const void *data G_GNUC_UNUSED)
{
	TestRandom random = test_random_new(test_seed());
	const guint rounds = test_is_instrumented() ? 100 : 400;
	g_autofree char *content = NULL;
	ElfImage image;
	guint64 sections;

	REQUIRE(load_library(SMALL, &content, &image));
	memcpy(&sections, content + 40, sizeof sections); /* e_shoff */
	REQUIRE(sections + 64 < image.length);
	for (guint i = 0; i < rounds; i++) {
		g_autofree guint8 *copy = g_malloc(image.length + 1);
		const ElfImage damaged = {copy, image.length};

		memcpy(copy, image.data, image.length + 1);
		for (guint j = 0; j < 8; j++) {
			guint64 at = j < 2 ? test_random_below(&random, 64)
					   : sections + test_random_below(&random,
									  image.length - sections);

			copy[at] = (guint8)test_random(&random);
		}
		examine(&damaged);
	}
}

int main(int argc, char **argv)
{
	test_add("a library's symbols and needs", test_library, NULL);
	test_add("texts are whole, printable and between zero bytes", test_texts, NULL);
	test_add("a file that was cut at any place", test_truncated, NULL);
	test_add("headers of random bytes", test_damaged, NULL);
	return test_run(argc, argv);
}
