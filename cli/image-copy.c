/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/image-copy.h"

#include <string.h>

#include "cli/cli.h"
#include "cli/crew.h"
#include "common/base/bounds.h"
#include "common/base/error.h"
#include "common/base/units.h"
#include "common/stream/stream-io.h"

/* ---- copying */

/* A piece that was copied. */
typedef struct {
	guint64 offset;
	guint32 length, crc;
} Copied;

typedef struct {
	ImageCopy *copy;
	CrewWalk walk;
	guint64 done, written, verified; /* bytes */
	guint64 arrived;		 /* of a pipe */
	gboolean ended;			 /* the pipe */
	GArray *copied;			 /* of Copied */
	guint next;			 /* of these, to be verified */
} Copying;

static gboolean pipe_next(Copying *copying, CrewPiece *piece, GError **error)
{
	gsize length = 0;

	piece->offset = copying->arrived;
	if (!copying->ended &&
	    !medium_next(copying->copy->from, piece->buffers[0], CREW_PIECE, &length, error))
		return FALSE;
	copying->ended = length < CREW_PIECE;
	copying->arrived += length;
	piece->length = length;
	return !length ||
	       copying->copy->resize(copying->copy->data, copying->arrived, FALSE, error);
}

static gboolean copy_next(gpointer data, CrewPiece *piece, GError **error)
{
	Copying *copying = data;

	if (medium_is_pipe(copying->copy->from))
		return pipe_next(copying, piece, error);
	return crew_walk_next(&copying->walk, piece, error);
}

/* The end of an image may be inside a sector. */
static gsize sectors_fill(guint8 *buffer, gsize length)
{
	gsize whole = (length + SECTOR_SIZE - 1) / SECTOR_SIZE * SECTOR_SIZE;

	memset(buffer + length, 0, whole - length);
	return whole;
}

/* Of the block at byte `at` of the piece. */
static gboolean block_is_zero(const CrewPiece *piece, gsize at)
{
	const guint8 *bytes = piece->buffers[0] + at;
	gsize length = MIN(BLOCK_SIZE, piece->length - at);

	return !bytes[0] && !memcmp(bytes, bytes + 1, length - 1);
}

/* Writes what is not zeros, in whole blocks. */
static gboolean data_write(Medium *to, guint thread, CrewPiece *piece, GError **error)
{
	const guint8 *buffer = piece->buffers[0];

	piece->written = 0;
	for (gsize at = 0, next; at < piece->length; at = next) {
		gboolean zero = block_is_zero(piece, at);

		for (next = at + BLOCK_SIZE;
		     next < piece->length && block_is_zero(piece, next) == zero;)
			next += BLOCK_SIZE;
		next = MIN(next, piece->length);
		if (zero)
			continue;
		if (!medium_write(to, thread, buffer + at, next - at, piece->offset + at, error))
			return FALSE;
		piece->written += next - at;
	}
	return TRUE;
}

static gboolean copy_work(gpointer data, guint thread, CrewPiece *piece, GError **error)
{
	const Copying *copying = data;
	Medium *from = copying->copy->from;
	guint8 *buffer = piece->buffers[0];

	if (!medium_is_pipe(from)) {
		piece->length = (gsize)min_u64(piece->length, medium_size(from) - piece->offset);
		if (!medium_read(from, thread, buffer, piece->length, piece->offset, error))
			return FALSE;
	}
	piece->length = sectors_fill(buffer, piece->length);
	piece->crc = stream_checksum(buffer, piece->length);
	return data_write(copying->copy->to, thread, piece, error);
}

static void copy_done(gpointer data, const CrewPiece *piece)
{
	Copying *copying = data;
	const Copied copied = {piece->offset, (guint32)piece->length, piece->crc};

	copying->done += piece->length;
	copying->written += piece->written;
	if (piece->written)
		g_array_append_val(copying->copied, copied);
}

static void copy_show(gpointer data)
{
	Copying *copying = data;

	transfer_show(copying->copy->progress, &(StreamTotals){.data = copying->done});
}

static void copy_stop(gpointer data)
{
	Copying *copying = data;

	medium_stop(copying->copy->from);
	medium_stop(copying->copy->to);
}

/* ---- verifying */

static gboolean verify_next(gpointer data, CrewPiece *piece, GError **error)
{
	Copying *copying = data;
	const Copied *copied;

	(void)error;
	piece->length = 0;
	if (copying->next == copying->copied->len)
		return TRUE;
	copied = &g_array_index(copying->copied, Copied, copying->next++);
	piece->offset = copied->offset;
	piece->length = copied->length;
	piece->crc = copied->crc;
	return TRUE;
}

static gboolean verify_work(gpointer data, guint thread, CrewPiece *piece, GError **error)
{
	const Copying *copying = data;

	if (!medium_read(copying->copy->to, thread, piece->buffers[0], piece->length, piece->offset,
			 error))
		return FALSE;
	return stream_checksum(piece->buffers[0], piece->length) == piece->crc ||
	       error_set(error, STORAGEOS_ERROR_CORRUPT,
			 "bytes %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT
			 " do not read as they were written",
			 piece->offset, piece->offset + piece->length);
}

static void verify_done(gpointer data, const CrewPiece *piece)
{
	((Copying *)data)->verified += piece->length;
}

static void verify_show(gpointer data)
{
	const Copying *copying = data;
	g_autofree char *done = size_format(copying->verified);
	g_autofree char *all = size_format(copying->written);

	cli_progress("%s: verifying, %s of %s", copying->copy->progress->what, done, all);
}

/* ---- */

static gboolean copy_carry_out(Copying *copying, GError **error)
{
	static const CrewOps copy_ops = {copy_next, copy_work, copy_done, copy_show, copy_stop};
	static const CrewOps verify_ops = {verify_next, verify_work, verify_done, verify_show,
					   copy_stop};
	const ImageCopy *copy = copying->copy;

	if (!crew_run(&copy_ops, copying, error))
		return FALSE;
	if (medium_is_pipe(copy->from) && !copy->resize(copy->data, copying->arrived, TRUE, error))
		return FALSE;
	return medium_flush(copy->to, error) &&
	       (!copy->verify || crew_run(&verify_ops, copying, error));
}

gboolean image_copy(ImageCopy *copy, GError **error)
{
	g_autoptr(GArray) copied = g_array_new(FALSE, FALSE, sizeof(Copied));
	Copying copying = {.copy = copy, .walk = {.medium = copy->from}, .copied = copied};
	gboolean done = copy_carry_out(&copying, error);

	copy->progress->data = copying.written;
	cli_progress_end();
	return done;
}

/* ---- comparing */

typedef struct {
	CrewWalk walks[2];
	CrewPiece pieces[2]; /* the next of each; a length of 0: none */
	TransferProgress *progress;
	ImageDifference *difference;
} Comparing;

static gboolean side_advance(Comparing *comparing, guint side, GError **error)
{
	return crew_walk_next(&comparing->walks[side], &comparing->pieces[side], error);
}

/* What either has next: the one that begins first, and as much of it as both are alike in. */
static gboolean compare_next(gpointer data, CrewPiece *piece, GError **error)
{
	Comparing *comparing = data;
	CrewPiece *pieces = comparing->pieces;
	guint64 begin, end;

	for (guint i = 0; i < 2; i++)
		if (!pieces[i].length && !side_advance(comparing, i, error))
			return FALSE;
	piece->length = 0;
	if (!pieces[0].length && !pieces[1].length)
		return TRUE;
	begin = MIN(pieces[0].length ? pieces[0].offset : G_MAXUINT64,
		    pieces[1].length ? pieces[1].offset : G_MAXUINT64);
	end = begin - begin % CREW_PIECE + CREW_PIECE;
	for (guint i = 0; i < 2; i++) {
		guint64 first = pieces[i].offset, last = first + pieces[i].length;

		if (pieces[i].length)
			end = min_u64(end, first > begin ? first : last);
	}
	piece->offset = begin;
	piece->length = (gsize)(end - begin);
	for (guint i = 0; i < 2; i++)
		if (pieces[i].length && pieces[i].offset == begin) {
			pieces[i].offset = end;
			pieces[i].length -= piece->length;
		}
	return TRUE;
}

/* Bytes behind the end are zeros. */
static gboolean side_read(Medium *medium, guint thread, guint8 *buffer, const CrewPiece *piece,
			  GError **error)
{
	guint64 size = medium_size(medium);
	gsize there =
		piece->offset < size ? (gsize)min_u64(piece->length, size - piece->offset) : 0;

	memset(buffer + there, 0, piece->length - there);
	return !there || medium_read(medium, thread, buffer, there, piece->offset, error);
}

static gboolean compare_work(gpointer data, guint thread, CrewPiece *piece, GError **error)
{
	const Comparing *comparing = data;
	const guint8 *a = piece->buffers[0], *b = piece->buffers[1];

	for (guint i = 0; i < 2; i++)
		if (!side_read(comparing->walks[i].medium, thread, piece->buffers[i], piece, error))
			return FALSE;
	piece->differ = 0;
	if (!memcmp(a, b, piece->length))
		return TRUE;
	for (gsize i = piece->length; i-- > 0;)
		if (a[i] != b[i]) {
			piece->differ++;
			piece->first = piece->offset + i;
		}
	return TRUE;
}

static void compare_done(gpointer data, const CrewPiece *piece)
{
	ImageDifference *difference = ((Comparing *)data)->difference;

	difference->read += piece->length;
	if (!piece->differ)
		return;
	if (!difference->differ || piece->first < difference->first)
		difference->first = piece->first;
	difference->differ += piece->differ;
}

static void compare_show(gpointer data)
{
	Comparing *comparing = data;

	transfer_show(comparing->progress, &(StreamTotals){.data = comparing->difference->read});
}

static void compare_stop(gpointer data)
{
	Comparing *comparing = data;

	medium_stop(comparing->walks[0].medium);
	medium_stop(comparing->walks[1].medium);
}

gboolean image_compare(Medium *a, Medium *b, TransferProgress *progress,
		       ImageDifference *ret_difference, GError **error)
{
	static const CrewOps ops = {compare_next, compare_work, compare_done, compare_show,
				    compare_stop};
	ImageDifference difference = {0};
	Comparing comparing = {.walks = {{.medium = a}, {.medium = b}},
			       .progress = progress,
			       .difference = &difference};
	gboolean good = crew_run(&ops, &comparing, error);

	cli_progress_end();
	if (good)
		*ret_difference = difference;
	return good;
}
