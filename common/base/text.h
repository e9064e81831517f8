/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text from outside (arguments, paths, lines of other programs) as it may be shown: on a terminal,
 * in a log, in JSON and over D-Bus, which take UTF-8 only.
 */
#pragma once

#include <glib.h>

/* The text with each byte that is no part of a UTF-8 character, and each control character's,
 * written as \xNN: "d\xffb", "\x1b[2J".  The rest stays as it is.  Free the result. */
char *text_printable(const char *text);

/* How many of the first `length` bytes are whole characters: up to 3 fewer, where the last one
 * would be cut. */
gsize text_whole_length(const char *text, gsize length);

/* As text_printable(), of the first `max` bytes of it, in whole characters; "..." behind it where
 * that is not all. */
char *text_excerpt(const char *text, gsize max);
