/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EXTENDED COPY(LID1) within the unit, and RECEIVE COPY RESULTS.
 *
 *     header of 16 bytes | target descriptors, 32 bytes each | segment descriptors, 28 bytes each
 *
 * A target must be named by the unit's own NAA designator.  Any other target is unreachable, since
 * nothing here could find out whether the initiator may use it.  The whole list is checked before
 * anything is copied.
 */
#include "handler/scsi-private.h"

#include <errno.h>

#define HEADER 16
#define TARGET 32
#define SEGMENT 28
#define TARGETS_MAX 2u
#define SEGMENTS_MAX 16u
#define LIST_MAX (TARGETS_MAX * TARGET + SEGMENTS_MAX * SEGMENT)
#define SEGMENT_BYTES_MAX (32u << 20)
#define COPY_PIECE VOLUME_ATOMIC_MAX

#define TARGET_IDENTIFICATION 0xe4
#define SEGMENT_BLOCK_TO_BLOCK 0x02

#define USAGE_SHIFT 3
#define USAGE_KEEP 0 /* keep the status until it is asked for */
#define USAGE_RESERVED 1
#define USAGE_NO_IDENTIFIER 3

/* How long a status is kept, seconds. */
#define KEEP_SECONDS 3

typedef struct {
	guint8 bytes[HEADER + LIST_MAX];
	guint n_targets, n_segments;
} CopyList;

typedef struct {
	guint from, to; /* indexes of targets */
	guint64 blocks, source, destination;
} Segment;

static gint seconds_now(void)
{
	return (gint)(g_get_monotonic_time() / G_USEC_PER_SEC);
}

static guint copy_list_usage(const CopyList *list)
{
	return list->bytes[1] >> USAGE_SHIFT & 3;
}

static Segment copy_list_segment(const CopyList *list, guint i)
{
	const guint8 *at = list->bytes + HEADER + list->n_targets * TARGET + i * SEGMENT;

	return (Segment){.from = (guint)get_be(at + 4, 2),
			 .to = (guint)get_be(at + 6, 2),
			 .blocks = get_be(at + 10, 2),
			 .source = get_be(at + 12, 8),
			 .destination = get_be(at + 20, 8)};
}

/* ---- the list */

static gboolean target_is_unit(const ScsiUnit *unit, const guint8 *target)
{
	ScsiIdentity identity = {.serial = ""};
	guint8 naa[SCSI_NAA_LENGTH];

	unit->identify(unit->data, &identity);
	scsi_naa_of(identity.serial, naa);
	return identity.serial[0] && (target[4] & 0x0f) == 1 && (target[5] & 0x3f) == 3 &&
	       target[7] == SCSI_NAA_LENGTH && !memcmp(target + 8, naa, sizeof naa);
}

static RunnerStatus copy_list_check_targets(const ScsiUnit *unit, const CopyList *list,
					    guint8 *sense)
{
	for (guint i = 0; i < list->n_targets; i++) {
		const guint8 *target = list->bytes + HEADER + i * TARGET;

		if (target[0] != TARGET_IDENTIFICATION)
			return sense_refuse(sense, sense_unsupported_target);
		if (target[1] & 0x1f || get_be(target + 29, 3) != unit->block_size)
			return sense_refuse(sense, sense_invalid_parameter_list);
	}
	return RUNNER_OK;
}

static RunnerStatus copy_list_check_segments(const ScsiUnit *unit, const CopyList *list,
					     guint8 *sense)
{
	const SenseCode copy_aborted = {0xa, 0x00, 0x00};

	for (guint i = 0; i < list->n_segments; i++) {
		const guint8 *at = list->bytes + HEADER + list->n_targets * TARGET + i * SEGMENT;
		Segment segment = copy_list_segment(list, i);

		if (get_be(at + 2, 2) != SEGMENT - 4 ||
		    segment.blocks * unit->block_size > SEGMENT_BYTES_MAX)
			return sense_refuse(sense, sense_invalid_parameter_list);
		if (segment.from >= list->n_targets || segment.to >= list->n_targets)
			return sense_refuse(sense, sense_copy_target_unreachable);
		if (segment.source > scsi_unit_blocks(unit) ||
		    segment.destination > scsi_unit_blocks(unit) ||
		    segment.blocks >
			    scsi_unit_blocks(unit) - MAX(segment.source, segment.destination))
			return sense_refuse(sense, copy_aborted);
	}
	for (guint i = 0; i < list->n_targets; i++)
		if (!target_is_unit(unit, list->bytes + HEADER + i * TARGET))
			return sense_refuse(sense, sense_copy_target_unreachable);
	return RUNNER_OK;
}

/* Descriptors of other types have other lengths, but are refused before their length matters. */
static RunnerStatus copy_list_count_segments(CopyList *list, guint length, guint8 *sense)
{
	const guint8 *at = list->bytes + HEADER + list->n_targets * TARGET;

	for (list->n_segments = 0; length; list->n_segments++) {
		if (at[0] != SEGMENT_BLOCK_TO_BLOCK)
			return sense_refuse(sense, sense_unsupported_segment);
		if (list->n_segments == SEGMENTS_MAX)
			return sense_refuse(sense, sense_too_many_segments);
		if (length < SEGMENT)
			return sense_refuse(sense, sense_parameter_list_length);
		at += SEGMENT;
		length -= SEGMENT;
	}
	return RUNNER_OK;
}

/* Copies the list from data-out of `length` bytes and counts its descriptors. */
static RunnerStatus copy_list_take(const ScsiCommand *command, gsize length, CopyList *list)
{
	guint64 targets, segments;

	if (length < HEADER || !scsi_take(command, list->bytes, HEADER))
		return sense_refuse(command->sense, sense_parameter_list_length);
	targets = get_be(list->bytes + 2, 2);
	segments = get_be(list->bytes + 8, 4);
	if (targets + segments > LIST_MAX || HEADER + targets + segments > length ||
	    !scsi_take(command, list->bytes, HEADER + targets + segments))
		return sense_refuse(command->sense, sense_parameter_list_length);
	if (copy_list_usage(list) == USAGE_RESERVED || get_be(list->bytes + 12, 4) ||
	    (copy_list_usage(list) == USAGE_NO_IDENTIFIER && list->bytes[0]) || targets % TARGET)
		return sense_refuse(command->sense, sense_invalid_parameter_list);
	list->n_targets = (guint)targets / TARGET;
	if (list->n_targets > TARGETS_MAX)
		return sense_refuse(command->sense, sense_too_many_targets);
	return copy_list_count_segments(list, (guint)segments, command->sense);
}

/* ---- copying */

static int segment_copy(const Request *request, Volume *volume, const Segment *segment,
			guint8 *memory, gint64 deadline, guint64 *ret_position)
{
	guint64 left = segment->blocks * request->block_size;
	guint64 from = segment->source * request->block_size;
	guint64 to = segment->destination * request->block_size;

	while (left) {
		struct iovec iov = {memory, MIN(left, COPY_PIECE)};
		int r = g_get_monotonic_time() > deadline
				? -EIO
				: volume_read(volume, &iov, 1, from, ret_position);

		if (!r)
			r = volume_write(volume, &iov, 1, to, ret_position);
		if (r) /* not BUSY: a repetition could copy what this one has written */
			return r == -ETIMEDOUT ? -EIO : r;
		from += iov.iov_len;
		to += iov.iov_len;
		left -= iov.iov_len;
	}
	return 0;
}

static int copy_list_run(const Request *request, Volume *volume, gint64 deadline,
			 guint64 *ret_position)
{
	ScsiUnit *unit = request->data;
	guint8 sense[RUNNER_SENSE_SIZE];
	const ScsiCommand command = {.iov = request->iov, .count = request->count, .sense = sense};
	g_autofree guint8 *memory = g_try_malloc(COPY_PIECE);
	CopyList list;
	int r = 0;

	if (!memory)
		return -ENOMEM;
	if (copy_list_take(&command, request->length, &list))
		return -EIO; /* the initiator has changed the list since it was checked */
	for (guint i = 0; i < list.n_segments && !r; i++) {
		Segment segment = copy_list_segment(&list, i);

		r = segment_copy(request, volume, &segment, memory, deadline, ret_position);
	}
	if (!r && copy_list_usage(&list) == USAGE_KEEP) {
		g_atomic_int_set(&unit->copy_segments, (gint)list.n_segments);
		g_atomic_int_set(&unit->copy_time, seconds_now());
		g_atomic_int_set(&unit->copy_list, list.bytes[0] + 1);
	}
	return r;
}

static guint64 copy_list_blocks(const CopyList *list)
{
	guint64 blocks = 0;

	for (guint i = 0; i < list->n_segments; i++)
		blocks += copy_list_segment(list, i).blocks;
	return blocks;
}

static const RequestCall copy_call = {"extended copy", METRICS_WRITE, FALSE, copy_list_run};

RunnerStatus scsi_extended_copy(ScsiUnit *unit, const ScsiCommand *command, Request *request)
{
	gsize length = (gsize)get_be(command->cdb + 10, 4);
	RunnerStatus status;
	CopyList list;

	if (!length)
		return RUNNER_OK;
	status = copy_list_take(command, length, &list);
	if (!status)
		status = copy_list_check_targets(unit, &list, command->sense);
	if (!status)
		status = copy_list_check_segments(unit, &list, command->sense);
	if (status)
		return status;
	request->kind = REQUEST_CALL;
	request->call = &copy_call;
	request->bytes = copy_list_blocks(&list) * unit->block_size;
	request->data = unit;
	request->length = length;
	return RUNNER_LATER;
}

/* ---- RECEIVE COPY RESULTS */

/* A copy is done when its command is answered, so there is a final status or none.  It is forgotten
 * once reported, and after KEEP_SECONDS. */
RunnerStatus scsi_copy_status(ScsiUnit *unit, const ScsiCommand *command, Request *request)
{
	guint8 data[12] = {0};
	gint list = command->cdb[2] + 1;

	(void)request;
	if (seconds_now() - g_atomic_int_get(&unit->copy_time) > KEEP_SECONDS ||
	    !g_atomic_int_compare_and_exchange(&unit->copy_list, list, 0))
		return sense_set_cdb_field(command->sense, 2);
	put_be(data, sizeof data - 4, 4);
	data[4] = 1; /* completed without errors */
	put_be(data + 5, (guint)g_atomic_int_get(&unit->copy_segments), 2);
	return scsi_answer(command, data, sizeof data, get_be(command->cdb + 10, 4));
}

RunnerStatus scsi_copy_parameters(ScsiUnit *unit, const ScsiCommand *command, Request *request)
{
	guint8 data[46] = {0};

	(void)request;
	put_be(data, sizeof data - 4, 4);
	data[4] = 1; /* a list needs no identifier */
	put_be(data + 8, TARGETS_MAX, 2);
	put_be(data + 10, SEGMENTS_MAX, 2);
	put_be(data + 12, LIST_MAX, 4);
	put_be(data + 16, SEGMENT_BYTES_MAX, 4);
	put_be(data + 34, 1, 2);
	data[36] = 1; /* copies at a time */
	data[37] = (guint8)g_bit_nth_msf(unit->block_size, -1);
	data[43] = 2; /* types of descriptors */
	data[44] = SEGMENT_BLOCK_TO_BLOCK;
	data[45] = TARGET_IDENTIFICATION;
	return scsi_answer(command, data, sizeof data, get_be(command->cdb + 10, 4));
}
