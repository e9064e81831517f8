/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes a volume what a stream says, and its content then a snapshot with the name, UUID and time
 * of the sender's.
 *
 * A stream of what changed needs a volume whose content is the stream's base, unchanged; a stream
 * that holds all needs an empty volume.  Every frame is verified before a byte of it is written.
 * At each mark the volume is made durable and keeps how far it is: after any interruption a stream
 * that begins there, or before, completes it.  Until then the volume opens for reading only
 * (volume-receive.h).
 *
 * Threading: one thread at a time; the volume was opened with VOLUME_OPEN_RECEIVE.
 */
#pragma once

#include "common/engine/volume.h"
#include "common/stream/stream-rbd.h"
#include "common/stream/stream-reader.h"

typedef enum {
	/* If the volume has changed since the base, it goes back to the base first; what it held
	 * becomes a snapshot. */
	STREAM_RECEIVE_FORCE = 1 << 0,
} StreamReceiveFlags;

/* Whether the volume, which may be open for reading only, is what stream_receive() and
 * stream_receive_rbd() need for such a stream.  Their errors; changes nothing.  *ret_back: it would
 * go back to the base first. */
gboolean stream_receive_check(Volume *volume, const StreamBegin *begin, StreamReceiveFlags flags,
			      gboolean *ret_back, GError **error);
gboolean stream_receive_check_rbd(Volume *volume, const StreamRbdHead *head,
				  StreamReceiveFlags flags, gboolean *ret_back, GError **error);

/* Receives the stream whose BEGIN was read.  `progress` may be NULL.  NOT_FOUND (the volume does
 * not have the base), INVALID (the volume has changed, or is not where the stream begins), EXISTS
 * (it has that snapshot), BUSY (it receives another one), those of the reader, NO_SPACE, IO. */
gboolean stream_receive(Volume *volume, StreamReader *reader, const StreamBegin *begin,
			StreamReceiveFlags flags, StreamProgress progress, gpointer data,
			GError **error);

/* The same from a file of `rbd export-diff`, whose base is found by its name.  Cannot be resumed:
 * after a failure it must be given up. */
gboolean stream_receive_rbd(Volume *volume, StreamRbdReader *reader, const StreamRbdHead *head,
			    StreamReceiveFlags flags, StreamProgress progress, gpointer data,
			    GError **error);

/* Where a stream must begin that completes what the volume receives.  NOT_FOUND: nothing. */
gboolean stream_receive_token(Volume *volume, StreamToken *ret_token, GError **error);

/* Gives up what the volume receives: it goes back to the base, or (*ret_empty) becomes empty.
 * NOT_FOUND: nothing.  Whatever interrupts this, the volume is still receiving, and giving up works
 * again. */
gboolean stream_receive_abort(Volume *volume, gboolean *ret_empty, GError **error);
