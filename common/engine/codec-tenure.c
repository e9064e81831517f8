/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "common/engine/codec.h"

void tenure_encode(const TenureRecord *record, FormatTenure *out)
{
	const Host *host = &record->host;

	memset(out, 0, sizeof *out);
	out->magic = GUINT32_TO_LE(FORMAT_TENURE_MAGIC);
	out->turn = GUINT64_TO_LE(record->turn);
	memcpy(out->machine, host->machine, sizeof out->machine);
	memcpy(out->boot, host->boot, sizeof out->boot);
	out->device = GUINT64_TO_LE(record->device);
	out->process = GUINT32_TO_LE(host->process);
	out->interval = GUINT32_TO_LE(record->interval);
	memcpy(out->host, host->name, strnlen(host->name, sizeof out->host));
	out->crc = GUINT32_TO_LE(seal_tenure(out));
}

gboolean tenure_decode(const FormatTenure *in, TenureRecord *ret_record)
{
	guint32 interval = GUINT32_FROM_LE(in->interval);

	if (GUINT32_FROM_LE(in->magic) != FORMAT_TENURE_MAGIC || !interval ||
	    interval > FORMAT_TENURE_INTERVAL_MAX || GUINT32_FROM_LE(in->crc) != seal_tenure(in))
		return FALSE;
	*ret_record = (TenureRecord){
		.turn = GUINT64_FROM_LE(in->turn),
		.device = GUINT64_FROM_LE(in->device),
		.interval = interval,
		.host.process = GUINT32_FROM_LE(in->process),
	};
	memcpy(ret_record->host.machine, in->machine, sizeof in->machine);
	memcpy(ret_record->host.boot, in->boot, sizeof in->boot);
	memcpy(ret_record->host.name, in->host, sizeof in->host);
	return TRUE;
}

void pulse_encode(const PulseRecord *record, FormatPulse *out)
{
	memset(out, 0, sizeof *out);
	out->magic = GUINT32_TO_LE(FORMAT_PULSE_MAGIC);
	out->turn = GUINT64_TO_LE(record->turn);
	out->sequence = GUINT64_TO_LE(record->sequence);
	out->state = GUINT32_TO_LE(record->open ? FORMAT_TENURE_OPEN : FORMAT_TENURE_CLOSED);
	out->crc = GUINT32_TO_LE(seal_pulse(out));
}

gboolean pulse_decode(const FormatPulse *in, PulseRecord *ret_record)
{
	guint32 state = GUINT32_FROM_LE(in->state);

	if (GUINT32_FROM_LE(in->magic) != FORMAT_PULSE_MAGIC ||
	    (state != FORMAT_TENURE_OPEN && state != FORMAT_TENURE_CLOSED) ||
	    GUINT32_FROM_LE(in->crc) != seal_pulse(in))
		return FALSE;
	*ret_record = (PulseRecord){
		.turn = GUINT64_FROM_LE(in->turn),
		.sequence = GUINT64_FROM_LE(in->sequence),
		.open = state == FORMAT_TENURE_OPEN,
	};
	return TRUE;
}
