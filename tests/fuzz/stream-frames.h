/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stream of a list of frames, each a u8 type, a u16 length and the payload: their headers are
 * made, so that all checksums are right.
 */
#pragma once

#include <glib.h>

GByteArray *fuzz_frames(const guint8 *data, gsize size);
