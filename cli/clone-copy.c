/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/clone-copy.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cli/snapshot-pair.h"
#include "cli/transfer.h"
#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/thread.h"
#include "common/engine/volume-snapshots.h"
#include "common/service/volume-summary.h"
#include "common/stream/stream-receive.h"
#include "common/stream/stream-send.h"

typedef struct {
	const SnapshotPair *pair;
	int fd; /* closed at the end: the receiver meets the end of the stream */
	GError *error;
} Sending;

static gpointer sending_main(gpointer data)
{
	Sending *sending = data;
	StreamSource source = snapshot_pair_source(sending->pair);
	StreamBegin begin = snapshot_pair_begin(sending->pair, 0);

	stream_send(&source, &begin, sending->fd, NULL, NULL, &sending->error);
	close(sending->fd);
	return NULL;
}

/* A sender whose receiver has failed meets a broken pipe; otherwise its error is the cause. */
static gboolean errors_join(Sending *sending, GError *received, GError **error)
{
	gboolean cause = sending->error &&
			 (!received || !strstr(sending->error->message, g_strerror(EPIPE)));
	GError *told = cause ? sending->error : received;
	GError *other = cause ? received : sending->error;

	g_clear_error(&other);
	if (told)
		g_propagate_error(error, told);
	return !told;
}

static gboolean stream_through(Sending *sending, Volume *volume, int fd, TransferProgress *progress,
			       GError **error)
{
	g_autoptr(StreamReader) reader = stream_reader_new(fd);
	GThread *thread = reader ? thread_start("clone", sending_main, sending, error) : NULL;
	GError *received = NULL;
	StreamBegin begin;

	if (!reader)
		error_set_errno(error, ENOMEM, "read the stream");
	if (!thread) {
		close(sending->fd);
		close(fd);
		return FALSE;
	}
	if (stream_reader_begin(reader, &begin, &received)) {
		progress->bytes = begin.bytes;
		stream_receive(volume, reader, &begin, 0, transfer_show, progress, &received);
	}
	close(fd);
	g_thread_join(thread);
	cli_progress_end();
	return errors_join(sending, received, error);
}

static gboolean volume_fill(const SnapshotPair *pair, Volume *volume, const char *what,
			    GError **error)
{
	TransferProgress progress = {.what = what};
	Sending sending = {.pair = pair};
	int ends[2];

	if (fd_pipe(ends))
		return error_set_errno(error, errno, "make a pipe");
	sending.fd = ends[1];
	/* The snapshot that a stream leaves is not the clone's. */
	return stream_through(&sending, volume, ends[0], &progress, error) &&
	       volume_snapshot_delete(volume, json_get_text(pair->to, "name"), 0, error);
}

static gboolean copy_make(const Cli *cli, const SnapshotPair *pair, const VolumeName *to,
			  GError **error)
{
	g_autofree char *what = g_strconcat("clone ", pair->text, NULL);
	Volume *volume = pool_volume_open(cli->config, to, VOLUME_OPEN_RECEIVE, error);
	gboolean done = volume && volume_fill(pair, volume, what, error);

	return volume && volume_close(volume, done ? error : NULL) && done;
}

gboolean clone_copy(const Cli *cli, const VolumeName *from, const VolumeName *to, GError **error)
{
	g_auto(SnapshotPair) pair = {0};
	Properties properties;
	VolumeParameters parameters = {.properties = &properties};
	g_autofree char *path = pool_volume_path(cli->config, from, error);

	if (!path || !volume_summary_inherited(path, &properties, error) ||
	    !snapshot_pair_open(cli->config, from, NULL, &pair, error))
		return FALSE;
	parameters.size = volume_size(pair.to_volume);
	parameters.logical_block_size = volume_logical_block_size(pair.to_volume);
	if (!pool_volume_create(cli->config, to, &parameters, 0, error))
		return FALSE;
	if (copy_make(cli, &pair, to, error))
		return TRUE;
	pool_volume_delete(cli->config, to, NULL);
	return FALSE;
}
