/* SPDX-License-Identifier: Apache-2.0 */
#include "common/engine/map-pressure.h"
#include "common/base/bounds.h"

/* An open after a crash may have to verify the payload of all writes since the last durable
 * checkpoint.  These limits bound that payload, so that the open is quick: to what is written in
 * two intervals between freezes, or three if one of them is a snapshot, of about CROWDED_BYTES
 * each. */
#define WANTS_BYTES (64 * MIB)
#define WANTS_RETIRED_BYTES (256 * MIB)
#define PRESSED_BYTES WANTS_BYTES
#define CROWDED_BYTES (256 * MIB)

/* I7: from so many dirty and frozen nodes on, changes must wait; the rest of the limit is for clean
 * nodes, and for changes that are under way. */
static guint64 crowded_nodes(const Map *map)
{
	return map_limit(map) * 3 / 4;
}

static guint64 pressed_nodes(const Map *map)
{
	return crowded_nodes(map) * 3 / 4;
}

/* How far `value` is on the way from `from` to `most`: 0 to 100 percent. */
static guint64 pressure_of(guint64 value, guint64 from, guint64 most)
{
	return value <= from ? 0 : MIN((value - from) * 100 / (most - from), 100);
}

static guint64 pressure_of_nodes(const Map *map)
{
	return pressure_of(map->dirty.n + map->frozen.n, pressed_nodes(map), crowded_nodes(map));
}

static guint64 pressure_of_bytes(const Map *map)
{
	return pressure_of(slots_gained_bytes(map->slots), PRESSED_BYTES, CROWDED_BYTES);
}

void pressure_update_locked(Map *map)
{
	g_atomic_int_set(&map->wants,
			 map->dirty.n > map_limit(map) * 3 / 8 ||
				 slots_gained_bytes(map->slots) > WANTS_BYTES ||
				 slots_retired_bytes(map->slots) > WANTS_RETIRED_BYTES);
	g_atomic_int_set(&map->pressure,
			 (gint)max_u64(pressure_of_nodes(map), pressure_of_bytes(map)));
}

/* About how many leaves a change of that many bytes makes dirty. */
static guint64 leaves_of_change(const Map *map, guint64 bytes)
{
	return node_parent(map->layout, blocks_covering(MAX(bytes, 1)) - 1) + 2;
}

double map_cost(Map *map, guint64 bytes)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(map->lock);

	if (pressure_of_nodes(map) >= pressure_of_bytes(map))
		return 100.0 * (double)leaves_of_change(map, bytes) /
		       (double)(crowded_nodes(map) - pressed_nodes(map));
	return 100.0 * (double)MAX(bytes, BLOCK_SIZE) / (CROWDED_BYTES - PRESSED_BYTES);
}

gboolean map_wants_checkpoint(Map *map)
{
	return g_atomic_int_get(&map->wants);
}

guint map_pressure(Map *map)
{
	return (guint)g_atomic_int_get(&map->pressure);
}
