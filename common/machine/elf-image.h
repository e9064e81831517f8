/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be told of a program or library from its file, without running or loading it: the
 * symbols that it exports, the libraries it wants, the texts in it.
 *
 * The file may be anything: every offset is checked.  Files of another word size or byte order have
 * no symbols here, only texts.
 */
#pragma once

#include <glib.h>

typedef struct {
	const guint8 *data; /* borrowed; a zero byte lies behind it */
	gsize length;
} ElfImage;

/* Whether the dynamic linker finds `symbol` defined there. */
gboolean elf_image_exports(const ElfImage *image, const char *symbol);

/* The library that it is linked against whose name begins with `prefix` ("libtcmu.so."), or NULL.
 * Free the result. */
char *elf_image_needs(const ElfImage *image, const char *prefix);

/* Calls `test` for each printable text of up to 255 characters between zero bytes, until it returns
 * TRUE; that text, or NULL.  Free the result. */
typedef gboolean (*ElfTextTest)(const char *text);
char *elf_image_find_text(const ElfImage *image, ElfTextTest test);
