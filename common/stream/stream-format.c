/* SPDX-License-Identifier: Apache-2.0 */
#include "common/stream/stream-format.h"

#include <string.h>

#include "common/base/bytes.h"
#include "common/base/error.h"
#include "common/base/json.h"
#include "common/base/units.h"
#include "common/engine/codec.h"
#include "common/engine/crc32c.h"
#include "common/engine/volume.h"

#define MAGIC 0x54534f53u /* "SOST" */
#define FLAG_ZSTD 1u
#define ZSTD_MAGIC 0xfd2fb528u			/* of a file that zstd wrote (RFC 8878) */
#define HEADER_COVERED (STREAM_HEADER_SIZE - 4) /* the header's checksum follows these */
#define DATA_ENTRY 12u
#define ZERO_ENTRY 16u

G_STATIC_ASSERT(4 + STREAM_RANGES_MAX * DATA_ENTRY <= STREAM_RANGES_SIZE);
G_STATIC_ASSERT(STREAM_RANGES_MAX *ZERO_ENTRY <= STREAM_RANGES_SIZE);
G_STATIC_ASSERT(STREAM_RANGES_SIZE + STREAM_DATA_MAX <= STREAM_PAYLOAD_MAX);

/* ---- headers
 *
 *   0 u32 magic       8 u32 length               16 u64 sequence   28 u32 CRC of the bytes before,
 *   4 u16 type       12 u32 CRC of the payload   24 u32 zero              continues the last one's
 *   6 u16 flags
 */

void stream_header_encode(StreamChain *chain, const StreamFrame *frame,
			  guint8 ret_header[STREAM_HEADER_SIZE])
{
	memset(ret_header, 0, STREAM_HEADER_SIZE);
	put_le32(ret_header, MAGIC);
	put_le16(ret_header + 4, (guint16)frame->type);
	put_le32(ret_header + 8, frame->length);
	put_le32(ret_header + 12, frame->crc);
	put_le64(ret_header + 16, chain->sequence);
	chain->crc = crc32c(chain->crc, ret_header, HEADER_COVERED);
	put_le32(ret_header + 28, chain->crc);
	chain->sequence++;
}

/* What a sender of this version writes.  The header has verified: other values are a newer
 * version's. */
static gboolean header_is_known(const guint8 *header, GError **error)
{
	guint type = get_le16(header + 4), flags = get_le16(header + 6);

	if (flags == FLAG_ZSTD)
		return error_set(
			error, STORAGEOS_ERROR_UNSUPPORTED,
			"compressed with zstd inside the stream, which this version cannot "
			"read (export it without that, and compress it in a pipe)");
	if (flags || get_le32(header + 24))
		return error_set(error, STORAGEOS_ERROR_UNSUPPORTED,
				 "unknown flags 0x%x (a newer version wrote the stream)", flags);
	if (type < STREAM_BEGIN || type > STREAM_END)
		return error_set(error, STORAGEOS_ERROR_UNSUPPORTED,
				 "unknown type %u (a newer version wrote the stream)", type);
	if (get_le32(header + 8) > STREAM_PAYLOAD_MAX)
		return error_set(error, STORAGEOS_ERROR_CORRUPT, "%u bytes long, more than %u",
				 get_le32(header + 8), STREAM_PAYLOAD_MAX);
	return TRUE;
}

gboolean stream_header_decode(StreamChain *chain, const guint8 header[STREAM_HEADER_SIZE],
			      StreamFrame *ret_frame, GError **error)
{
	guint32 crc = crc32c(chain->crc, header, HEADER_COVERED);

	if (!chain->sequence && get_le32(header) == ZSTD_MAGIC)
		return error_set(error, STORAGEOS_ERROR_INVALID,
				 "compressed with zstd (zstd -dc FILE | storageos import VOLUME)");
	if (!chain->sequence && get_le32(header) != MAGIC)
		return error_set(error, STORAGEOS_ERROR_INVALID, "not a storageos stream");
	if (get_le32(header) != MAGIC || get_le32(header + 28) != crc ||
	    get_le64(header + 16) != chain->sequence)
		return error_set(error, STORAGEOS_ERROR_CORRUPT,
				 "its header is damaged, or does not continue the frame before "
				 "(parts of the stream are missing, or from another stream)");
	if (!header_is_known(header, error))
		return FALSE;
	*ret_frame = (StreamFrame){.type = (StreamType)get_le16(header + 4),
				   .length = get_le32(header + 8),
				   .crc = get_le32(header + 12)};
	chain->crc = crc;
	chain->sequence++;
	return TRUE;
}

gboolean stream_payload_check(const StreamFrame *frame, const void *payload, GError **error)
{
	guint32 crc = crc32c(0, payload, frame->length);

	if (crc == frame->crc)
		return TRUE;
	return error_set(error, STORAGEOS_ERROR_CORRUPT,
			 "its content is damaged (checksum 0x%08x, computed 0x%08x)", frame->crc,
			 crc);
}

/* ---- BEGIN */

static Json *snapshot_to_json(const StreamSnapshot *snapshot)
{
	Json *object = json_object_new_object();

	json_add_text(object, "uuid", snapshot->uuid);
	json_add_text(object, "name", snapshot->name);
	json_add_number(object, "generation", snapshot->generation);
	return object;
}

char *stream_begin_encode(const StreamBegin *begin)
{
	g_autoptr(Json) object = json_object_new_object();
	Json *to = snapshot_to_json(&begin->to);

	json_add_number(to, "created", (guint64)begin->created);
	json_add_number(to, "size", begin->size);
	json_add_number(to, "block_size", begin->block_size);
	json_add_flag(to, "frozen", begin->frozen);
	json_add_number(object, "version", STREAM_VERSION);
	json_add_text(object, "volume", begin->volume);
	json_object_object_add(object, "to", to);
	json_object_object_add(object, "from",
			       begin->incremental ? snapshot_to_json(&begin->from) : NULL);
	json_add_number(object, "resume", begin->resume);
	json_add_number(object, "bytes", begin->bytes);
	return json_to_text(object);
}

static gboolean uuid_valid(const char *text)
{
	guint8 uuid[16];

	return text && uuid_parse(text, uuid);
}

static gboolean snapshot_from_json(Json *object, StreamSnapshot *ret_snapshot)
{
	const char *uuid = json_get_text(object, "uuid"), *name = json_get_text(object, "name");
	gint64 generation = json_get_number(object, "generation");

	if (!uuid_valid(uuid) || !name_valid(name) || generation <= 0)
		return FALSE;
	g_strlcpy(ret_snapshot->uuid, uuid, sizeof ret_snapshot->uuid);
	g_strlcpy(ret_snapshot->name, name, sizeof ret_snapshot->name);
	ret_snapshot->generation = (guint64)generation;
	return TRUE;
}

static gboolean size_valid(gint64 size)
{
	return size >= (gint64)VOLUME_SIZE_MIN && size <= (gint64)VOLUME_SIZE_MAX &&
	       size % SECTOR_SIZE == 0;
}

static gboolean begin_decode(Json *object, StreamBegin *begin)
{
	Json *to = json_get_object(object, "to"), *from;
	const char *volume = json_get_text(object, "volume");
	gint64 size = json_get_number(to, "size"), block_size = json_get_number(to, "block_size");
	gint64 resume = json_get_number(object, "resume"), bytes = json_get_number(object, "bytes");

	if (!uuid_valid(volume) || !snapshot_from_json(to, &begin->to) || !size_valid(size) ||
	    (block_size != SECTOR_SIZE && block_size != BLOCK_SIZE) || size % block_size ||
	    resume < 0 || bytes < 0 || (guint64)resume > blocks_covering((guint64)size) ||
	    !json_object_object_get_ex(object, "from", &from) ||
	    (from && !snapshot_from_json(from, &begin->from)))
		return FALSE;
	begin->incremental = from != NULL;
	g_strlcpy(begin->volume, volume, sizeof begin->volume);
	begin->created = json_get_number(to, "created");
	begin->size = (guint64)size;
	begin->block_size = (guint32)block_size;
	begin->frozen = json_get_flag(to, "frozen");
	begin->resume = (guint64)resume;
	begin->bytes = (guint64)bytes;
	return TRUE;
}

static Json *object_parse(const char *text, gsize length)
{
	struct json_tokener *tokener = json_tokener_new_ex(8);
	Json *object = tokener && length <= STREAM_BEGIN_MAX
			       ? json_tokener_parse_ex(tokener, text, (int)length)
			       : NULL;

	if (tokener)
		json_tokener_free(tokener);
	return object;
}

gboolean stream_begin_decode(const char *payload, gsize length, StreamBegin *ret_begin,
			     GError **error)
{
	g_autoptr(Json) object = object_parse(payload, length);
	gint64 version = json_get_number(object, "version");
	StreamBegin begin = {0};

	if (version > STREAM_VERSION)
		return error_set(error, STORAGEOS_ERROR_UNSUPPORTED,
				 "a stream of version %" G_GINT64_FORMAT
				 "; this program reads version %d",
				 version, STREAM_VERSION);
	if (version != STREAM_VERSION || !begin_decode(object, &begin))
		return error_set(error, STORAGEOS_ERROR_CORRUPT, "it does not describe a snapshot");
	*ret_begin = begin;
	return TRUE;
}

/* ---- DATA and ZERO */

guint32 stream_ranges_encode(StreamType type, const StreamRange *ranges, guint n, guint8 *ret_head)
{
	guint8 *at = ret_head;

	if (type == STREAM_DATA) {
		put_le32(at, n);
		at += 4;
	}
	for (guint i = 0; i < n; i++) {
		put_le64(at, ranges[i].offset);
		if (type == STREAM_DATA)
			put_le32(at + 8, (guint32)ranges[i].length);
		else
			put_le64(at + 8, ranges[i].length);
		at += type == STREAM_DATA ? DATA_ENTRY : ZERO_ENTRY;
	}
	return (guint32)(at - ret_head);
}

gboolean stream_ranges_next(StreamRanges *ranges, StreamRange *ret_range)
{
	StreamRange range = {.offset = 0};

	if (!ranges->left)
		return FALSE;
	range.offset = get_le64(ranges->at);
	range.bytes = ranges->bytes;
	if (ranges->bytes) {
		range.length = get_le32(ranges->at + 8);
		ranges->bytes += range.length;
		ranges->at += DATA_ENTRY;
	} else {
		range.length = get_le64(ranges->at + 8);
		ranges->at += ZERO_ENTRY;
	}
	ranges->left--;
	*ret_range = range;
	return TRUE;
}

static gboolean range_valid(const StreamRange *range, guint64 size)
{
	return range->length && range->length <= size && range->offset <= size - range->length &&
	       range->offset % SECTOR_SIZE == 0 && range->length % SECTOR_SIZE == 0;
}

/* `room`: bytes that follow the table, all of which the ranges of a DATA must take. */
static gboolean ranges_valid(StreamRanges ranges, guint64 size, guint64 room)
{
	gboolean data = ranges.bytes != NULL;
	StreamRange range;

	while (stream_ranges_next(&ranges, &range)) {
		if (!range_valid(&range, size) || (data && range.length > room))
			return FALSE;
		room -= data ? range.length : 0;
	}
	return !room;
}

/* Where the table of ranges is; FALSE unless it is within the payload. */
static gboolean ranges_find(StreamType type, const guint8 *payload, guint32 length,
			    StreamRanges *ret_ranges)
{
	if (type == STREAM_ZERO) {
		*ret_ranges = (StreamRanges){payload, NULL, length / ZERO_ENTRY};
		return length % ZERO_ENTRY == 0;
	}
	if (length < 4 || get_le32(payload) > STREAM_RANGES_MAX ||
	    length - 4 < get_le32(payload) * DATA_ENTRY)
		return FALSE;
	*ret_ranges = (StreamRanges){payload + 4, payload + 4 + get_le32(payload) * DATA_ENTRY,
				     get_le32(payload)};
	return TRUE;
}

gboolean stream_ranges_decode(StreamType type, const guint8 *payload, guint32 length, guint64 size,
			      StreamRanges *ret_ranges, GError **error)
{
	StreamRanges ranges = {0};
	guint64 room;

	if (!ranges_find(type, payload, length, &ranges) || !ranges.left ||
	    ranges.left > STREAM_RANGES_MAX)
		return error_set(error, STORAGEOS_ERROR_CORRUPT, "its table of ranges is invalid");
	room = ranges.bytes ? length - (guint64)(ranges.bytes - payload) : 0;
	if (room > STREAM_DATA_MAX || !ranges_valid(ranges, size, room))
		return error_set(error, STORAGEOS_ERROR_CORRUPT,
				 "it has ranges outside of the volume, or not of its length");
	*ret_ranges = ranges;
	return TRUE;
}

/* ---- MARK and END */

void stream_totals_encode(const StreamTotals *totals, guint8 ret_payload[STREAM_TOTALS_SIZE])
{
	put_le64(ret_payload, totals->next);
	put_le64(ret_payload + 8, totals->data);
	put_le64(ret_payload + 16, totals->zero);
}

gboolean stream_totals_decode(const guint8 *payload, guint32 length, StreamTotals *ret_totals,
			      GError **error)
{
	if (length != STREAM_TOTALS_SIZE)
		return error_set(error, STORAGEOS_ERROR_CORRUPT, "its totals take %u bytes, not %u",
				 length, STREAM_TOTALS_SIZE);
	*ret_totals =
		(StreamTotals){get_le64(payload), get_le64(payload + 8), get_le64(payload + 16)};
	return TRUE;
}

/* ---- tokens */

char *stream_token_format(const StreamToken *token)
{
	return g_strdup_printf("%d.%s.%s.%" G_GUINT64_FORMAT, STREAM_VERSION, token->to,
			       *token->from ? token->from : "all", token->next);
}

gboolean stream_token_parse(const char *text, StreamToken *ret_token, GError **error)
{
	g_auto(GStrv) parts = g_strsplit(text, ".", 5);
	gboolean incremental;
	StreamToken token = {0};

	if (g_strv_length(parts) != 4 || strcmp(parts[0], G_STRINGIFY(STREAM_VERSION)) ||
	    !uuid_valid(parts[1]) ||
	    !g_ascii_string_to_unsigned(parts[3], 10, 0, block_of(VOLUME_SIZE_MAX), &token.next,
					NULL))
		return error_set(error, STORAGEOS_ERROR_INVALID,
				 "invalid token '%s' (import --token prints one)", text);
	incremental = strcmp(parts[2], "all") != 0;
	if (incremental && !uuid_valid(parts[2]))
		return error_set(error, STORAGEOS_ERROR_INVALID,
				 "invalid token '%s' (import --token prints one)", text);
	g_strlcpy(token.to, parts[1], sizeof token.to);
	if (incremental)
		g_strlcpy(token.from, parts[2], sizeof token.from);
	*ret_token = token;
	return TRUE;
}
