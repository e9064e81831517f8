/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/engine/stream-world.h"

#include <sys/mman.h>
#include <unistd.h>

#include "common/stream/stream-send.h"

static void sender_change(Sender *sender)
{
	guint64 blocks = sender->size / BLOCK_SIZE;

	for (guint i = 0; i < 60; i++) {
		guint64 first = test_random_below(&sender->random, blocks);
		guint64 n = 1 + test_random_below(&sender->random, 40);
		guint8 value = (guint8)(1 + test_random_below(&sender->random, 255));

		n = MIN(n, blocks - first);
		if (test_random_below(&sender->random, 4)) {
			volume_put_value(sender->volume, value, n * BLOCK_SIZE,
					 blocks_to_bytes(first));
		} else {
			value = 0;
			CHECK_INT(volume_discard(sender->volume, blocks_to_bytes(first),
						 n * BLOCK_SIZE),
				  0);
		}
		memset(sender->content + first, value, n);
	}
}

static void sender_snapshot(Sender *sender)
{
	g_autofree char *name = g_strdup_printf("s%u", sender->n);
	const VolumeSnapshotParameters parameters = {
		.name = name, .created = 1796000000 + sender->n, .frozen = sender->n % 2 == 1};
	guint64 generation;

	CHECK(volume_snapshot_begin(sender->volume, &parameters, &generation, NULL));
	CHECK(volume_snapshot_wait(sender->volume, generation, 60, NULL));
	g_autoptr(GArray) infos = volume_snapshots(sender->volume);
	sender->infos[sender->n] = g_array_index(infos, VolumeSnapshotInfo, infos->len - 1);
	memcpy(sender->snapshots[sender->n++], sender->content, BLOCKS);
}

Sender *sender_new(void)
{
	static const guint64 sizes[SNAPSHOTS] = {SIZE - 4096, SIZE - 4096, SIZE / 2, SIZE};
	Sender *sender = g_new0(Sender, 1);

	sender->random = test_random_new(test_seed());
	sender->size = sizes[0];
	sender->volume = place_new_volume(&sender->place, sizes[0]);
	for (guint i = 0; i < SNAPSHOTS; i++) {
		if (sizes[i] != sender->size) {
			CHECK(volume_resize(sender->volume, sizes[i],
					    VOLUME_RESIZE_SHRINK | VOLUME_RESIZE_DISCARD, 60,
					    NULL));
			memset(sender->content + sizes[i] / BLOCK_SIZE, 0,
			       BLOCKS - sizes[i] / BLOCK_SIZE);
			sender->size = sizes[i];
		}
		sender_change(sender);
		sender_snapshot(sender);
	}
	sender_change(sender);
	return sender;
}

void sender_free(Sender *sender)
{
	close_volume(sender->volume);
	CHECK(snapshots_prove(sender->place->memory, NULL, NULL));
	place_free(sender->place);
	g_free(sender);
}
Volume *snapshot_open(Place *place, guint i)
{
	g_autofree char *name = g_strdup_printf("s%u", i);
	GError *error = NULL;
	Volume *volume =
		volume_open_snapshot(place_backing(place), "test", name, NULL, NULL, &error);

	CHECK_NO_ERROR(error);
	return volume;
}

int sender_stream(Sender *sender, int from, guint to, guint64 first)
{
	const VolumeSnapshotInfo *info = &sender->infos[to];
	StreamBegin begin = {.created = info->created,
			     .size = info->size,
			     .block_size = 512,
			     .frozen = info->frozen,
			     .resume = first,
			     .incremental = from >= 0};
	StreamSource source = {.first = first, .in_order = TRUE, .mark_bytes = 256 * KIB};
	VolumeInfo volume_info;
	int fd = memfd_create("stream", MFD_CLOEXEC);
	GError *error = NULL;

	volume_get_info(sender->volume, &volume_info);
	g_strlcpy(begin.volume, volume_info.uuid, sizeof begin.volume);
	begin.to.generation = info->generation;
	g_strlcpy(begin.to.uuid, info->uuid, sizeof begin.to.uuid);
	g_strlcpy(begin.to.name, info->name, sizeof begin.to.name);
	if (from >= 0) {
		begin.from.generation = source.since = sender->infos[from].generation;
		g_strlcpy(begin.from.uuid, sender->infos[from].uuid, sizeof begin.from.uuid);
		g_strlcpy(begin.from.name, sender->infos[from].name, sizeof begin.from.name);
		source.from = snapshot_open(sender->place, (guint)from);
	}
	source.to = snapshot_open(sender->place, to);
	CHECK(stream_send(&source, &begin, fd, NULL, NULL, &error));
	CHECK_NO_ERROR(error);
	volume_close(source.to, NULL);
	volume_close(source.from, NULL);
	lseek(fd, 0, SEEK_SET);
	return fd;
}

/* ---- a volume that receives */

Place *receiver_new(void)
{
	Place *place = place_new_memory();

	place_format(place, 2 * MIB, 0);
	return place;
}

Volume *receiver_open(Place *place)
{
	GError *error = NULL;
	Volume *volume = volume_open(place_backing(place), "receiver", VOLUME_OPEN_RECEIVE, &error);

	CHECK_NO_ERROR(error);
	return volume;
}

gboolean receive(Volume *volume, int fd, StreamReceiveFlags flags, GError **error)
{
	g_autoptr(StreamReader) reader = stream_reader_new(fd);
	StreamBegin begin;

	return stream_reader_begin(reader, &begin, error) &&
	       stream_receive(volume, reader, &begin, flags, NULL, NULL, error);
}

void check_content(Volume *volume, const guint8 *content, guint64 size)
{
	g_autofree guint8 *bytes = g_malloc(size);
	struct iovec iov = {bytes, size};

	CHECK_UINT(volume_size(volume), size);
	CHECK_INT(volume_read(volume, &iov, 1, 0, NULL), 0);
	for (guint64 i = 0; i < size / BLOCK_SIZE; i++)
		if (!CHECK(bytes[i * BLOCK_SIZE] == content[i] &&
			   !memcmp(bytes + i * BLOCK_SIZE, bytes + i * BLOCK_SIZE + 1,
				   BLOCK_SIZE - 1)))
			test_note("block %" G_GUINT64_FORMAT ": %u, wanted %u", i,
				  bytes[i * BLOCK_SIZE], content[i]);
}

void check_snapshot(const Sender *sender, Place *place, guint i)
{
	Volume *volume = snapshot_open(place, i);
	VolumeInfo info;

	if (!CHECK(volume != NULL))
		return;
	volume_get_info(volume, &info);
	CHECK_STR(info.uuid, sender->infos[i].uuid);
	check_content(volume, sender->snapshots[i], sender->infos[i].size);
	volume_close(volume, NULL);
}

void receiver_end(Volume *volume, Place *place)
{
	close_volume(volume);
	CHECK(snapshots_prove(place->memory, NULL, NULL));
	CHECK(place_check(place));
}

Volume *receiver_half(Sender *sender, Place *place)
{
	Volume *volume = receiver_open(place);
	autofd first = sender_stream(sender, -1, 0, 0), second = sender_stream(sender, 0, 1, 0);
	g_autoptr(GError) error = NULL;

	CHECK(receive(volume, first, 0, &error));
	CHECK_NO_ERROR(error);
	CHECK(!ftruncate(second, lseek(second, 0, SEEK_END) * 2 / 3));
	lseek(second, 0, SEEK_SET);
	CHECK(!receive(volume, second, 0, NULL));
	return volume;
}
