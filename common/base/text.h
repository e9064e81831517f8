/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes untrusted text (arguments, paths, output of other programs) safe to show on a terminal and
 * in logs, and valid UTF-8 for JSON and D-Bus.
 */
#pragma once

#include <glib.h>

/* Returns the text with each byte that is not part of a UTF-8 character, and each byte of a control
 * character, written as \xNN: "d\xffb", "\x1b[2J".  The rest is unchanged.  Free the result. */
char *text_printable(const char *text);

/* The length of the text without a last character that is cut at `length` bytes: `length`, or up to
 * 3 less. */
gsize text_whole_length(const char *text, gsize length);

/* As text_printable(), but of at most the first `max` bytes, in whole characters; "..." follows if
 * the text is longer. */
char *text_excerpt(const char *text, gsize max);
