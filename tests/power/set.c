/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/power/set.h"

/* Open addressing, at most half full; 0 is an empty place. */
struct Set {
	guint64 *places;
	guint64 n_places; /* a power of two */
	guint64 n;
};

Set *set_new(void)
{
	Set *set = g_new0(Set, 1);

	set->n_places = 1 << 16;
	set->places = g_new0(guint64, set->n_places);
	return set;
}

void set_free(Set *set)
{
	g_free(set->places);
	g_free(set);
}

static gboolean put(Set *set, guint64 hash)
{
	guint64 at = hash & (set->n_places - 1);

	while (set->places[at] && set->places[at] != hash)
		at = (at + 1) & (set->n_places - 1);
	if (set->places[at])
		return FALSE;
	set->places[at] = hash;
	return TRUE;
}

static void grow(Set *set)
{
	guint64 *old = set->places, n = set->n_places;

	set->n_places *= 2;
	set->places = g_new0(guint64, set->n_places);
	for (guint64 i = 0; i < n; i++)
		if (old[i])
			put(set, old[i]);
	g_free(old);
}

gboolean set_add(Set *set, guint64 hash)
{
	gboolean added = put(set, hash ? hash : 1);

	set->n += added;
	if (set->n > set->n_places / 2)
		grow(set);
	return added;
}
