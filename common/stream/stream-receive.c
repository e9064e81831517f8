/* SPDX-License-Identifier: Apache-2.0 */
#include "common/stream/stream-receive.h"

#include <errno.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/units.h"
#include "common/engine/codec.h"
#include "common/engine/volume-receive.h"

#define RESIZE_SECONDS 600

#define EMPTY_SECONDS 60 /* what is not free by then becomes free later */

typedef struct {
	Volume *volume;
	StreamReceiveFlags flags;
	StreamProgress progress;
	gpointer data;
	StreamTotals totals;
} Receiving;

/* ---- whether the volume is what the stream needs */

/* By its UUID, or else by its name.  FALSE: there is none, or it is no more than a bookmark. */
static gboolean snapshot_find(Volume *volume, const char *uuid, const char *name,
			      VolumeSnapshotInfo *ret_info)
{
	g_autoptr(GArray) infos = volume_snapshots(volume);

	for (guint i = 0; i < infos->len; i++) {
		const VolumeSnapshotInfo *info = &g_array_index(infos, VolumeSnapshotInfo, i);

		if (info->state != VOLUME_SNAPSHOT_ALIVE ||
		    strcmp(uuid ? info->uuid : info->name, uuid ? uuid : name) != 0)
			continue;
		*ret_info = *info;
		return TRUE;
	}
	return FALSE;
}

/* Asked before anything is changed: a stream that has arrived already must not have FORCE go back.
 * `uuid` may be NULL. */
static gboolean target_check(Volume *volume, const char *uuid, const char *name, GError **error)
{
	g_autoptr(GArray) infos = volume_snapshots(volume);

	for (guint i = 0; i < infos->len; i++) {
		const VolumeSnapshotInfo *info = &g_array_index(infos, VolumeSnapshotInfo, i);

		if (info->state == VOLUME_SNAPSHOT_DELETING)
			continue;
		if (uuid && !strcmp(info->uuid, uuid))
			return error_set(error, STORAGEOS_ERROR_EXISTS,
					 "there is a snapshot '%s' already, which is this one",
					 info->name);
		if (!strcmp(info->name, name))
			return error_set(error, STORAGEOS_ERROR_EXISTS,
					 "there is a snapshot '%s' already (to give that another "
					 "name: storageos snapshot rename)",
					 name);
	}
	return TRUE;
}

/* *ret_back: the volume must go back to the base, *ret_info, first. */
static gboolean base_check(const Receiving *receiving, const char *uuid, const char *name,
			   VolumeSnapshotInfo *ret_info, gboolean *ret_back, GError **error)
{
	if (!snapshot_find(receiving->volume, uuid, name, ret_info))
		return error_set(error, STORAGEOS_ERROR_NOT_FOUND,
				 "the stream goes on from snapshot '%s'%s%s, which the volume does "
				 "not have",
				 name, uuid ? " of UUID " : "", uuid ? uuid : "");
	*ret_back = !volume_is_snapshot(receiving->volume, ret_info->generation);
	return !*ret_back || receiving->flags & STREAM_RECEIVE_FORCE ||
	       error_set(error, STORAGEOS_ERROR_INVALID,
			 "the volume has changed since snapshot '%s', from which the stream goes "
			 "on (--force goes back to the snapshot, and keeps what there is as "
			 "another)",
			 ret_info->name);
}

static gboolean base_go_back(const Receiving *receiving, const VolumeSnapshotInfo *base,
			     GError **error)
{
	return volume_rollback(receiving->volume, base->name, VOLUME_ROLLBACK_SIZE_TOO, NULL,
			       error);
}

/* `block_size` 0: any will do. */
static gboolean empty_check(const Receiving *receiving, guint32 block_size, GError **error)
{
	g_autoptr(GArray) infos = volume_snapshots(receiving->volume);
	guint32 has = volume_logical_block_size(receiving->volume);
	VolumeInfo info;

	volume_get_info(receiving->volume, &info);
	if (block_size && block_size != has)
		return error_set(error, STORAGEOS_ERROR_INVALID,
				 "the snapshot is of a volume with blocks of %u bytes, and this "
				 "one has %u (delete it: import makes the volume)",
				 block_size, has);
	return (!infos->len && !info.data_bytes) ||
	       error_set(error, STORAGEOS_ERROR_INVALID,
			 "the stream holds all of a snapshot: it needs a new volume, and this one "
			 "is not empty");
}

/* ---- what the volume receives already */

static void parent_uuid(Volume *volume, const VolumeReceiving *receiving, char ret_uuid[37])
{
	g_autoptr(GArray) infos = volume_snapshots(volume);

	*ret_uuid = '\0';
	for (guint i = 0; i < infos->len; i++) {
		const VolumeSnapshotInfo *info = &g_array_index(infos, VolumeSnapshotInfo, i);

		if (info->generation == receiving->parent)
			memcpy(ret_uuid, info->uuid, 37);
	}
}

gboolean stream_receive_token(Volume *volume, StreamToken *ret_token, GError **error)
{
	VolumeReceiving receiving;

	if (!volume_receive_get(volume, &receiving))
		return error_set(error, STORAGEOS_ERROR_NOT_FOUND,
				 "no stream is being received into it");
	*ret_token = (StreamToken){.next = receiving.received};
	memcpy(ret_token->to, receiving.uuid, sizeof ret_token->to);
	parent_uuid(volume, &receiving, ret_token->from);
	return TRUE;
}

static gboolean resume_check(const Receiving *receiving, const VolumeReceiving *now,
			     const StreamBegin *begin, GError **error)
{
	char from[37];

	parent_uuid(receiving->volume, now, from);
	if (strcmp(now->uuid, begin->to.uuid) != 0 ||
	    strcmp(from, begin->incremental ? begin->from.uuid : "") != 0)
		return error_set(error, STORAGEOS_ERROR_BUSY,
				 "the volume receives snapshot '%s' (go on with that, or give it "
				 "up: --abort)",
				 now->name);
	/* The record, and what is marked in it, have the size with which the transfer began. */
	if (begin->size != now->size)
		return error_set(error, STORAGEOS_ERROR_INVALID,
				 "the stream is of a volume of %" G_GUINT64_FORMAT
				 " bytes, and the transfer began with %" G_GUINT64_FORMAT,
				 begin->size, now->size);
	return begin->resume <= now->received ||
	       error_set(error, STORAGEOS_ERROR_INVALID,
			 "the stream begins at block %" G_GUINT64_FORMAT
			 ", and the volume has only what is before block %" G_GUINT64_FORMAT
			 " (the token has changed: --token)",
			 begin->resume, now->received);
}

/* Of a volume that does not receive yet. */
static gboolean begin_check(const Receiving *receiving, const StreamBegin *begin,
			    VolumeSnapshotInfo *ret_base, gboolean *ret_back, GError **error)
{
	*ret_back = FALSE;
	if (begin->resume)
		return error_set(error, STORAGEOS_ERROR_INVALID,
				 "the stream is the rest of one that the volume does not receive");
	if (!begin->incremental)
		return empty_check(receiving, begin->block_size, error);
	return target_check(receiving->volume, begin->to.uuid, begin->to.name, error) &&
	       base_check(receiving, begin->from.uuid, begin->from.name, ret_base, ret_back, error);
}

static gboolean stream_begin(const Receiving *receiving, const StreamBegin *begin, GError **error)
{
	guint8 uuid[16];
	const VolumeSnapshotParameters to = {.name = begin->to.name,
					     .uuid = uuid,
					     .created = begin->created,
					     .frozen = begin->frozen};
	VolumeSnapshotInfo base;
	VolumeReceiving now;
	gboolean back;

	if (volume_receive_get(receiving->volume, &now))
		return resume_check(receiving, &now, begin, error);
	if (!begin_check(receiving, begin, &base, &back, error) ||
	    (back && !base_go_back(receiving, &base, error)))
		return FALSE;
	uuid_parse(begin->to.uuid, uuid);
	return volume_receive_begin(receiving->volume, &to, begin->size, error);
}

static gboolean rbd_check(const Receiving *receiving, const StreamRbdHead *head,
			  VolumeSnapshotInfo *ret_base, gboolean *ret_back, GError **error)
{
	VolumeReceiving now;

	*ret_back = FALSE;
	if (volume_receive_get(receiving->volume, &now))
		return error_set(error, STORAGEOS_ERROR_BUSY,
				 "the volume receives snapshot '%s' (to give that up: --abort)",
				 now.name);
	if (!head->from)
		return empty_check(receiving, 0, error);
	return target_check(receiving->volume, NULL, head->to, error) &&
	       base_check(receiving, NULL, head->from, ret_base, ret_back, error);
}

gboolean stream_receive_check(Volume *volume, const StreamBegin *begin, StreamReceiveFlags flags,
			      gboolean *ret_back, GError **error)
{
	const Receiving receiving = {.volume = volume, .flags = flags};
	VolumeSnapshotInfo base;
	VolumeReceiving now;

	if (!volume_receive_get(volume, &now))
		return begin_check(&receiving, begin, &base, ret_back, error);
	*ret_back = FALSE;
	return resume_check(&receiving, &now, begin, error);
}

gboolean stream_receive_check_rbd(Volume *volume, const StreamRbdHead *head,
				  StreamReceiveFlags flags, gboolean *ret_back, GError **error)
{
	const Receiving receiving = {.volume = volume, .flags = flags};
	VolumeSnapshotInfo base;

	return rbd_check(&receiving, head, &base, ret_back, error);
}

/* ---- content */

static gboolean size_set(const Receiving *receiving, guint64 size, GError **error)
{
	return volume_size(receiving->volume) == size ||
	       volume_resize(receiving->volume, size, VOLUME_RESIZE_SHRINK | VOLUME_RESIZE_DISCARD,
			     RESIZE_SECONDS, error);
}

static gboolean range_write(Receiving *receiving, const StreamRange *range, GError **error)
{
	struct iovec iov = {(guint8 *)range->bytes, range->length};
	int r = range->bytes ? volume_write(receiving->volume, &iov, 1, range->offset, NULL)
			     : volume_zero(receiving->volume, range->offset, range->length);

	*(range->bytes ? &receiving->totals.data : &receiving->totals.zero) += range->length;
	if (receiving->progress)
		receiving->progress(receiving->data, &receiving->totals);
	return !r || error_set_errno(error, r, "write the volume at byte %" G_GUINT64_FORMAT,
				     range->offset);
}

static gboolean item_apply(Receiving *receiving, StreamItem *item, GError **error)
{
	StreamRange range;

	if (item->type == STREAM_MARK || item->type == STREAM_END) {
		receiving->totals.next = item->totals.next;
		return volume_receive_mark(receiving->volume, item->totals.next, error);
	}
	while (stream_ranges_next(&item->ranges, &range))
		if (!range_write(receiving, &range, error))
			return FALSE;
	return TRUE;
}

gboolean stream_receive(Volume *volume, StreamReader *reader, const StreamBegin *begin,
			StreamReceiveFlags flags, StreamProgress progress, gpointer data,
			GError **error)
{
	Receiving receiving = {
		.volume = volume, .flags = flags, .progress = progress, .data = data};
	StreamItem item = {.type = STREAM_BEGIN};

	if (!stream_begin(&receiving, begin, error) || !size_set(&receiving, begin->size, error))
		return FALSE;
	while (item.type != STREAM_END)
		if (!stream_reader_next(reader, &item, error) ||
		    !item_apply(&receiving, &item, error))
			return FALSE;
	return volume_receive_end(volume, error);
}

gboolean stream_receive_rbd(Volume *volume, StreamRbdReader *reader, const StreamRbdHead *head,
			    StreamReceiveFlags flags, StreamProgress progress, gpointer data,
			    GError **error)
{
	const VolumeSnapshotParameters to = {.name = head->to,
					     .created = g_get_real_time() / G_USEC_PER_SEC};
	Receiving receiving = {
		.volume = volume, .flags = flags, .progress = progress, .data = data};
	VolumeSnapshotInfo base;
	StreamRange range = {.length = 1};
	gboolean back;

	if (!rbd_check(&receiving, head, &base, &back, error) ||
	    (back && !base_go_back(&receiving, &base, error)) ||
	    !volume_receive_begin(volume, &to, head->size, error) ||
	    !size_set(&receiving, head->size, error))
		return FALSE;
	while (range.length)
		if (!stream_rbd_reader_next(reader, &range, error) ||
		    (range.length && !range_write(&receiving, &range, error)))
			return FALSE;
	return volume_receive_end(volume, error);
}

/* ---- giving up */

/* Back to nothing. */
static gboolean volume_empty(Volume *volume, GError **error)
{
	int r = volume_discard(volume, 0, volume_size(volume));

	if (r)
		return error_set_errno(error, r, "discard what has arrived");
	volume_settled(volume, volume_settle(volume), EMPTY_SECONDS);
	return TRUE;
}

/* The record goes last: without it the volume can be attached.  And before the volume goes back,
 * the record says that nothing has arrived, since a stream that went on in the middle would miss
 * what was there.  So whatever interrupts this, the volume is still receiving, from the start. */
gboolean stream_receive_abort(Volume *volume, gboolean *ret_empty, GError **error)
{
	VolumeSnapshotInfo parent;
	VolumeReceiving receiving;
	char uuid[37];

	if (!volume_receive_get(volume, &receiving))
		return error_set(error, STORAGEOS_ERROR_NOT_FOUND,
				 "no stream is being received into it");
	parent_uuid(volume, &receiving, uuid);
	if (receiving.parent && !snapshot_find(volume, uuid, NULL, &parent))
		return error_set(error, STORAGEOS_ERROR_NOT_FOUND,
				 "the snapshot to go back to was deleted");
	if (receiving.received && !volume_receive_mark(volume, 0, error))
		return FALSE;
	if (receiving.parent ? !volume_rollback(volume, parent.name,
						VOLUME_ROLLBACK_DISCARD | VOLUME_ROLLBACK_SIZE_TOO,
						NULL, error)
			     : !volume_empty(volume, error))
		return FALSE;
	if (!volume_snapshot_delete(volume, receiving.name, 0, error))
		return FALSE;
	*ret_empty = !receiving.parent;
	return TRUE;
}
