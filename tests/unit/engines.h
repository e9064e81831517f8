/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An engine without a volume around it, for tests of its parts.  No thread runs in the background;
 * the test makes each step itself.
 */
#pragma once

#include "common/engine/engine.h"

#define ENGINE_SIZE ((guint64)512 << 20)
#define ENGINE_BLOCKS (ENGINE_SIZE / BLOCK_SIZE)

/* A faulty backing with an empty volume of ENGINE_SIZE; its journal has 64 KiB. */
Backing *backing_new_formatted(void);

/* Opens an engine up to and including recovery.  The caller keeps `backing`.  NULL with *error. */
Engine *engine_new_recovered(Backing *backing, gboolean read_only, GError **error);

/* The same, and checks that it succeeds. */
Engine *engine_new_in(Backing *backing);

/* Frees the engine without writing, as the death of the process does. */
void engine_free(Engine *engine);

/* Writes a block full of `value`, as a request does.  0: acknowledged. */
int engine_put(Engine *engine, guint64 block, guint8 value);

/* Makes [first, first + n) a hole. */
int engine_zero(Engine *engine, guint64 first, guint64 n);

/* A flush, with its durable-mark. */
int engine_flush(Engine *engine);

/* The value of which a block is full, 0 for a hole, or a negative errno. */
int engine_value(Engine *engine, guint64 block);
