/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The format of a stream, version 1: a snapshot, or what changed from one snapshot to another, as
 * bytes for a pipe or a file.  docs/disk-format.md ("Streams") is the normative text.  This module
 * is the codec alone: no I/O, no memory but what it is given (the text of BEGIN excepted).
 *
 *     BEGIN  (DATA | ZERO | MARK)*  END
 *
 * Each of these is a frame: a header of 32 bytes, then the payload.  The checksum of a header
 * continues that of the header before, which covers its payload's checksum.  So a header verifies
 * only if everything before it is what the sender sent: a stream that was cut, changed, or put
 * together from parts of several streams is found out at the first frame that is wrong.
 *
 * Everything here may come from a stranger (I9).  Every decode checks its input completely and sets
 * CORRUPT (damaged, cut or mixed), UNSUPPORTED (whole, but from a newer version) or INVALID (not a
 * stream).  Results are untouched on failure.
 *
 * Threading: any.
 */
#pragma once

#include <glib.h>

#include "common/base/names.h"

#define STREAM_VERSION 1
#define STREAM_HEADER_SIZE 32u
#define STREAM_DATA_MAX (1u << 20) /* bytes of the volume in one DATA */
#define STREAM_RANGES_MAX 4096u	   /* in one DATA or ZERO */
#define STREAM_PAYLOAD_MAX (STREAM_DATA_MAX + (64u << 10))
#define STREAM_BEGIN_MAX (16u << 10) /* bytes of BEGIN's payload */
#define STREAM_TOTALS_SIZE 24u
#define STREAM_RANGES_SIZE (STREAM_RANGES_MAX * 16u)

typedef enum {
	STREAM_BEGIN = 1, /* what the stream is of */
	STREAM_DATA = 2,  /* ranges and their bytes */
	STREAM_ZERO = 3,  /* ranges that read as zeros */
	STREAM_MARK = 4,  /* everything before a block was sent */
	STREAM_END = 5,	  /* everything was sent */
} StreamType;

/* ---- headers */

/* What the next header continues.  All zeros at the start. */
typedef struct {
	guint64 sequence; /* of the next frame */
	guint32 crc;	  /* of the last header */
} StreamChain;

typedef struct {
	StreamType type;
	guint32 length; /* of the payload, at most STREAM_PAYLOAD_MAX */
	guint32 crc;	/* of the payload */
} StreamFrame;

/* Both move the chain on, if they succeed. */
void stream_header_encode(StreamChain *chain, const StreamFrame *frame,
			  guint8 ret_header[STREAM_HEADER_SIZE]);
gboolean stream_header_decode(StreamChain *chain, const guint8 header[STREAM_HEADER_SIZE],
			      StreamFrame *ret_frame, GError **error);

/* CORRUPT unless `payload`, of frame->length bytes, is what its header says. */
gboolean stream_payload_check(const StreamFrame *frame, const void *payload, GError **error);

/* ---- BEGIN */

typedef struct {
	char uuid[37]; /* lower case, with dashes */
	char name[NAME_LENGTH_MAX + 1];
	guint64 generation;
} StreamSnapshot;

typedef struct {
	char volume[37];      /* its UUID */
	StreamSnapshot to;    /* the receiver gets this snapshot */
	gboolean incremental; /* FALSE: the stream holds all of `to` */
	StreamSnapshot from;  /* the receiver must have this one, if incremental */
	gint64 created;	      /* when `to` was: Unix time in seconds */
	guint64 size;	      /* of the volume in `to`: bytes, a valid volume size */
	guint32 block_size;   /* logical: 512 or 4096 */
	gboolean frozen;      /* the file systems were, when `to` was created */
	guint64 resume;	      /* the stream begins at this block */
	guint64 bytes;	      /* of data that the stream holds at most, for progress */
} StreamBegin;

/* The payload, as text.  Free the result. */
char *stream_begin_encode(const StreamBegin *begin);
gboolean stream_begin_decode(const char *payload, gsize length, StreamBegin *ret_begin,
			     GError **error);

/* ---- DATA and ZERO */

/* Bytes of the volume: multiples of 512. */
typedef struct {
	guint64 offset;
	guint64 length;	     /* DATA: at most STREAM_DATA_MAX */
	const guint8 *bytes; /* NULL: zeros */
} StreamRange;

/* The part of a DATA's payload before the bytes, or all of a ZERO's.  `n` is 1 to
 * STREAM_RANGES_MAX.  Returns its length, at most STREAM_RANGES_SIZE. */
guint32 stream_ranges_encode(StreamType type, const StreamRange *ranges, guint n, guint8 *ret_head);

/* The ranges of a payload that has been decoded. */
typedef struct {
	const guint8 *at, *bytes;
	guint left;
} StreamRanges;

/* Ranges that are not within `size` bytes do not decode.  The result points into the payload. */
gboolean stream_ranges_decode(StreamType type, const guint8 *payload, guint32 length, guint64 size,
			      StreamRanges *ret_ranges, GError **error);

/* The next range; FALSE after the last. */
gboolean stream_ranges_next(StreamRanges *ranges, StreamRange *ret_range);

/* ---- MARK and END */

typedef struct {
	guint64 next; /* every block before this one was sent; END: the end of the volume */
	guint64 data; /* bytes of the DATA frames of this stream until here */
	guint64 zero; /* likewise of the ZERO frames */
} StreamTotals;

/* Called for each frame at most: how far a transfer is, `next` as of the last mark. */
typedef void (*StreamProgress)(gpointer data, const StreamTotals *totals);

void stream_totals_encode(const StreamTotals *totals, guint8 ret_payload[STREAM_TOTALS_SIZE]);
gboolean stream_totals_decode(const guint8 *payload, guint32 length, StreamTotals *ret_totals,
			      GError **error);

/* ---- where an interrupted stream goes on */

typedef struct {
	char to[37], from[37]; /* UUIDs; `from` is empty unless the stream is incremental */
	guint64 next;	       /* block */
} StreamToken;

/* "1.TO.FROM.NEXT", in which FROM is "all" if the stream is not incremental: letters, digits,
 * dashes and dots.  Free the result. */
char *stream_token_format(const StreamToken *token);
gboolean stream_token_parse(const char *text, StreamToken *ret_token, GError **error);
