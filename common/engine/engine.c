/* SPDX-License-Identifier: Apache-2.0 */
#include "common/engine/engine.h"
#include "common/base/logging.h"
#include "common/base/text.h"

gboolean engine_init(Engine *engine, const Superblock *sb, GError **error)
{
	engine->seal = (Seal){sb->seed};
	engine->slots = slots_new(engine->backing, sb->groups_offset, &engine->seal,
				  engine->read_only, error);
	if (!engine->slots)
		return FALSE;
	engine->map = map_new(engine->backing, engine->slots, &engine->seal, superblock_layout(sb),
			      sb, engine->read_only, error);
	if (!engine->map)
		return FALSE;
	engine->snapshots = snapshots_new(engine->backing, engine->slots, &engine->seal,
					  engine->map, engine->read_only, error);
	if (!engine->snapshots)
		return FALSE;
	engine->journal = journal_new(engine->backing, sb->journal_size, &engine->seal, error);
	return engine->journal != NULL;
}

void engine_clear(Engine *engine)
{
	journal_free(engine->journal);
	snapshots_free(engine->snapshots);
	map_free(engine->map);
	slots_free(engine->slots);
	backing_free(engine->backing);
	g_free(engine->name);
	g_free(engine->failure);
	lock_clear(&engine->failure_lock);
}

void engine_fail(Engine *engine, const char *format, ...)
{
	const LoggingFields fields = {.event = "volume-failed", .volume = engine->name};
	va_list args;
	char text[512];

	va_start(args, format);
	if (g_vsnprintf(text, sizeof text, format, args) >= (int)sizeof text)
		text[text_whole_length(text, sizeof text - 1)] = '\0';
	va_end(args);
	lock_take(&engine->failure_lock);
	if (!engine->failure) {
		engine->failure = g_strdup(text);
		engine->failed_since = g_get_real_time() / G_USEC_PER_SEC;
		logging_write_fields(
			LOGGING_ERROR, &fields,
			"volume %s has FAILED: %s; it can only be read until it is opened anew",
			engine->name, text);
	}
	lock_drop(&engine->failure_lock);
	g_atomic_int_set(&engine->failed, TRUE);
	if (engine->journal)
		journal_fail(engine->journal);
}

gboolean engine_heed_condemned(Engine *engine)
{
	const char *reason = backing_condemned(engine->backing);

	if (reason)
		engine_fail(engine, "%s", reason);
	return reason != NULL;
}

EngineScrub engine_get_scrub(const Engine *engine)
{
	return (EngineScrub){
		.time = __atomic_load_n(&engine->scrub.time, __ATOMIC_RELAXED),
		.blocks = __atomic_load_n(&engine->scrub.blocks, __ATOMIC_RELAXED),
		.errors = __atomic_load_n(&engine->scrub.errors, __ATOMIC_RELAXED),
		.repaired = __atomic_load_n(&engine->scrub.repaired, __ATOMIC_RELAXED),
	};
}

void engine_set_scrub(Engine *engine, const EngineScrub *scrub)
{
	__atomic_store_n(&engine->scrub.time, scrub->time, __ATOMIC_RELAXED);
	__atomic_store_n(&engine->scrub.blocks, scrub->blocks, __ATOMIC_RELAXED);
	__atomic_store_n(&engine->scrub.errors, scrub->errors, __ATOMIC_RELAXED);
	__atomic_store_n(&engine->scrub.repaired, scrub->repaired, __ATOMIC_RELAXED);
}
