/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any two blocks where a shared backing says who has it, the checksums right or not: they are
 * decoded within their bounds, described in printable text, and what was decoded comes back.
 *
 *     u8         bit 0, bit 1: the checksum of tenure, of pulse is made right
 *     512 bytes  tenure
 *     512 bytes  pulse
 */
#include <string.h>

#include "common/engine/tenure.h"
#include "common/engine/codec.h"
#include "tests/engine/support.h"
#include "tests/backing/memory.h"
#include "tests/fuzz/fuzz.h"

static Backing *disk_new(const FormatTenure *tenure, const FormatPulse *pulse)
{
	Backing *disk = backing_memory_new(0);

	fuzz_assert(!backing_grow(disk, MIB));
	fuzz_assert(!backing_pwrite(disk, tenure, sizeof *tenure, FORMAT_TENURE_OFFSET));
	fuzz_assert(!backing_pwrite(disk, pulse, sizeof *pulse, FORMAT_PULSE_OFFSET));
	return disk;
}

static void check_description(const FormatTenure *tenure, const FormatPulse *pulse, gboolean sound)
{
	Backing *disk = disk_new(tenure, pulse);
	g_autoptr(Backing) shared = backing_share(disk, 1, NULL, NULL);
	g_autofree char *who = tenure_describe(shared);

	fuzz_assert(sound || !who);
	if (who)
		fuzz_assert(g_utf8_validate(who, -1, NULL) && strlen(who) <= 4 * 64 + 32);
	for (const char *c = who; c && *c; c++)
		fuzz_assert((guchar)*c >= ' ');
	backing_free(disk);
}

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
	FormatTenure tenure, again;
	FormatPulse pulse;
	TenureRecord record;
	PulseRecord pulsed;
	gboolean sound;

	if (size < 1 + sizeof tenure + sizeof pulse)
		return 0;
	memcpy(&tenure, data + 1, sizeof tenure);
	memcpy(&pulse, data + 1 + sizeof tenure, sizeof pulse);
	if (data[0] & 1)
		tenure.crc = GUINT32_TO_LE(seal_tenure(&tenure));
	if (data[0] & 2)
		pulse.crc = GUINT32_TO_LE(seal_pulse(&pulse));
	sound = tenure_decode(&tenure, &record);
	if (sound) {
		fuzz_assert(record.interval && record.interval <= FORMAT_TENURE_INTERVAL_MAX);
		fuzz_assert(memchr(record.host.name, 0, sizeof record.host.name));
		tenure_encode(&record, &again);
		fuzz_assert(tenure_decode(&again, &record) && again.turn == tenure.turn);
	}
	if (pulse_decode(&pulse, &pulsed)) {
		FormatPulse back;

		pulse_encode(&pulsed, &back);
		fuzz_assert(back.turn == pulse.turn && back.sequence == pulse.sequence &&
			    back.state == pulse.state);
	}
	check_description(&tenure, &pulse, sound);
	return 0;
}
