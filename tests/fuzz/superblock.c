/* SPDX-License-Identifier: Apache-2.0 */
/* A superblock of any content with a correct checksum.  The fields of a superblock that is accepted
 * must be within their bounds, and the same when it is encoded and decoded again.  Of the
 * properties, those that count must all be there after a change. */
#include <string.h>

#include "common/engine/properties.h"
#include "tests/fuzz/fuzz.h"

static void check_properties(const Properties *properties)
{
	static const Property add = {"fuzz", "1"}, drop = {"fuzz", ""};
	Properties changed = *properties;
	Property property, same;
	guint at = 0, behind = 0;

	if (!properties_change(&changed, &add, NULL))
		return;
	fuzz_assert(properties_change(&changed, &drop, NULL));
	while (properties_next(properties, &at, &property)) {
		fuzz_assert(property_check_key(property.key, NULL));
		fuzz_assert(property_check_value(property.key, property.value, NULL));
		if (!strcmp(property.key, "fuzz"))
			continue;
		fuzz_assert(properties_next(&changed, &behind, &same));
		fuzz_assert(!strcmp(property.key, same.key));
		fuzz_assert(!strcmp(property.value, same.value));
	}
	fuzz_assert(!properties_next(&changed, &behind, &same));
	fuzz_assert(strlen(changed.text) == behind);
}

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
	FormatSuperblock in = {0}, out, twice;
	Superblock sb, again;
	g_autoptr(GError) error = NULL;

	memcpy(&in, data, MIN(size, sizeof in));
	if (GUINT32_FROM_LE(in.version) < FORMAT_VERSION) /* a seed of an older version */
		in.version = GUINT32_TO_LE(FORMAT_VERSION);
	in.crc = GUINT32_TO_LE(seal_superblock(&in));
	if (!superblock_decode(&in, &sb, "fuzz", &error)) {
		fuzz_assert(error && error->message);
		return 0;
	}
	fuzz_assert(!error);
	fuzz_assert(sb.levels >= 1 && sb.levels <= FORMAT_LEVELS_MAX);
	fuzz_assert(sb.journal_size >= FORMAT_JOURNAL_MIN && sb.journal_size <= FORMAT_JOURNAL_MAX);
	fuzz_assert(sb.groups <= FORMAT_GROUPS_MAX);
	superblock_encode(&sb, &out);
	fuzz_assert(superblock_decode(&out, &again, "fuzz", NULL));
	superblock_encode(&again, &twice);
	fuzz_assert(!memcmp(&out, &twice, sizeof out));
	check_properties(&sb.properties);
	return 0;
}
