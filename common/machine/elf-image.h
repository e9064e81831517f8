/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads an ELF program or library without running or loading it: the symbols that it exports, the
 * libraries that it needs, and the strings in it.
 *
 * The file is not trusted: every offset is checked.  Of a file that is not ELF, or has another word
 * size or byte order than this machine, only strings are found.
 */
#pragma once

#include <glib.h>

typedef struct {
	const guint8 *data; /* borrowed; must be followed by a zero byte */
	gsize length;
} ElfImage;

/* Whether the dynamic symbol table defines `symbol`. */
gboolean elf_image_exports(const ElfImage *image, const char *symbol);

/* The first library that the image is linked against (DT_NEEDED) whose name begins with `prefix`
 * ("libtcmu.so."), or NULL.  Free the result. */
char *elf_image_needs(const ElfImage *image, const char *prefix);

/* Returns the first string for which `test` returns TRUE, or NULL.  A string is 1 to 255 printable
 * ASCII characters that end with a zero byte.  Free the result. */
typedef gboolean (*ElfTextTest)(const char *text);
char *elf_image_find_text(const ElfImage *image, ElfTextTest test);
