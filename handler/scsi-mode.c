/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MODE SENSE and MODE SELECT.  The only field that can be changed is SWP, software write protect;
 * it lasts until the device is closed.  Whether there is a write cache (WCE) is a property of the
 * volume, which all gateways that ever serve it agree on: an initiator cannot change it.
 */
#include "common/base/bounds.h"
#include "handler/scsi-private.h"

#define DBD 0x08
#define LLBAA 0x10
#define SAVE 0x01
#define SUBPAGE_FORMAT 0x40
#define ALL_PAGES 0x3f
#define ALL_SUBPAGES 0xff
#define WRITE_PROTECT 0x80
#define DPOFUA 0x10
#define SWP 0x08
#define WCE 0x04
#define PAGE_MAX 24
#define ANSWER_MAX 256

typedef enum { PAGE_CURRENT, PAGE_CHANGEABLE, PAGE_DEFAULT, PAGE_SAVED } PageControl;

typedef struct {
	guint8 code, subcode;
	gsize length; /* including the header */
	guint8 value[PAGE_MAX];
	guint8 changeable[PAGE_MAX]; /* the header is not counted as changeable */
} ModePage;

/* Error recovery: threshold events are reported (LBPERE).  Caching: WCE.  Control: GLTSD,
 * unrestricted reordering, and TAS, as the kernel behaves.  Informational exceptions: only
 * threshold events. */
static const ModePage pages[] = {
	{0x01, 0, 12, {0x01, 0x0a, 0x00, 0x80}, {0}},
	{0x08, 0, 20, {0x08, 0x12, WCE}, {0}},
	{0x0a, 0, 12, {0x0a, 0x0a, 0x02, 0x10, 0x00, 0x40, 0x00, 0x00, 0xff, 0xff}, {[4] = SWP}},
	{0x1c, 0, 12, {0x1c, 0x0a, 0x08}, {0}},
	{0x1c, 2, 24, {0x1c | SUBPAGE_FORMAT, 0x02, 0x00, 0x14, [16] = 0x80, [17] = 0x01}, {0}},
};

/* An answer under construction, with room for the longest header. */
typedef struct {
	guint8 data[ANSWER_MAX];
	gsize length;
} ModeAnswer;

static void page_get(ScsiUnit *unit, const ModePage *page, PageControl control, guint8 *to)
{
	gsize header = page->subcode ? 4 : 2;

	memcpy(to, page->value, page->length);
	if (control == PAGE_CHANGEABLE) {
		memcpy(to + header, page->changeable + header, page->length - header);
		return;
	}
	if (page->code == 0x08 && g_atomic_int_get(&unit->write_through))
		to[2] &= (guint8)~WCE;
	if (page->code == 0x1c && page->subcode)
		put_be(to + 20, (guint)g_atomic_int_get(&unit->threshold_count), 4);
	if (page->code == 0x0a && control == PAGE_CURRENT &&
	    g_atomic_int_get(&unit->write_protected))
		to[4] |= SWP;
}

static gboolean page_is_wanted(const ModePage *page, guint8 code, guint8 subcode)
{
	if (code != ALL_PAGES && code != page->code)
		return FALSE;
	return subcode == ALL_SUBPAGES || subcode == page->subcode;
}

/* FALSE if there is no such page. */
static gboolean add_pages(ScsiUnit *unit, const guint8 *cdb, ModeAnswer *answer)
{
	gboolean found = FALSE;

	for (guint i = 0; i < G_N_ELEMENTS(pages); i++) {
		if (!page_is_wanted(&pages[i], cdb[2] & 0x3f, cdb[3]))
			continue;
		page_get(unit, &pages[i], (PageControl)(cdb[2] >> 6),
			 answer->data + answer->length);
		answer->length += pages[i].length;
		found = TRUE;
	}
	return found;
}

static gsize descriptor(const ScsiUnit *unit, guint8 *to, gboolean is_long)
{
	if (is_long) {
		put_be(to, scsi_unit_blocks(unit), 8);
		put_be(to + 12, unit->block_size, 4);
		return 16;
	}
	put_be(to, min_u64(scsi_unit_blocks(unit), G_MAXUINT32), 4);
	put_be(to + 5, unit->block_size, 3);
	return 8;
}

static gboolean is_ten(const guint8 *cdb)
{
	return cdb[0] == 0x5a || cdb[0] == 0x55;
}

/* Fills the buffer behind the answer with the pages again, as often as all of them fit, up to the
 * very end; a vendor-specific page in front of them takes what is left over. */
static void repeat_pages(IovCursor *to, const guint8 *from, gsize length, gsize room)
{
	gsize times = room / length, rest = room % length;

	if (rest == 1 && times) { /* a page has two bytes at least */
		rest += length;
		times--;
	}
	if (!times)
		return;
	if (rest) {
		const guint8 header[2] = {0, (guint8)(rest - 2)};

		iov_copy_in(to, header, sizeof header);
		iov_advance(to, rest - sizeof header);
	}
	while (times--)
		iov_copy_in(to, from, length);
}

/* The kernel returns the whole buffer however short the answer is, and some initiators look for
 * pages up to the end of what they got. */
static RunnerStatus answer_pages(const ScsiCommand *command, const ModeAnswer *answer, gsize before,
				 guint64 allocation)
{
	IovCursor cursor = iov_cursor(command->iov, (int)command->count);
	gsize room = min_u64(scsi_data_length(command), allocation);
	gsize length = MIN(answer->length, room);

	iov_copy_in(&cursor, answer->data, length);
	repeat_pages(&cursor, answer->data + before, answer->length - before, room - length);
	return RUNNER_OK;
}

RunnerStatus scsi_mode_sense(ScsiUnit *unit, const ScsiCommand *command, Request *request)
{
	const guint8 *cdb = command->cdb;
	gsize header = is_ten(cdb) ? 8 : 4, described = 0;
	gboolean is_long = is_ten(cdb) && cdb[1] & LLBAA;
	ModeAnswer answer = {.length = header};
	guint8 device = DPOFUA;

	(void)request;
	if (cdb[2] >> 6 == PAGE_SAVED)
		return sense_refuse(command->sense, sense_saving_not_supported);
	if (unit->read_only || g_atomic_int_get(&unit->write_protected))
		device |= WRITE_PROTECT;
	if (!(cdb[1] & DBD))
		described = descriptor(unit, answer.data + header, is_long);
	answer.length += described;
	if (!add_pages(unit, cdb, &answer))
		return sense_set_cdb_field(command->sense, 2);
	if (is_ten(cdb)) {
		put_be(answer.data, answer.length - 2, 2);
		answer.data[3] = device;
		answer.data[4] = is_long && described;
		put_be(answer.data + 6, described, 2);
		return answer_pages(command, &answer, header + described, get_be(cdb + 7, 2));
	}
	answer.data[0] = (guint8)(answer.length - 1);
	answer.data[2] = device;
	answer.data[3] = (guint8)described;
	return answer_pages(command, &answer, header + described, cdb[4]);
}

/* ---- MODE SELECT */

static const ModePage *page_find(guint8 code, guint8 subcode)
{
	for (guint i = 0; i < G_N_ELEMENTS(pages); i++)
		if (pages[i].code == code && pages[i].subcode == subcode)
			return &pages[i];
	return NULL;
}

/* Checks the first page of the list.  Returns its length; 0 if it is cut off, unknown, or changes
 * what cannot be changed. */
static gsize page_check(ScsiUnit *unit, const guint8 *list, gsize left, gint *ret_protected)
{
	guint8 current[PAGE_MAX];
	const ModePage *page;

	if (left < 4)
		return 0;
	page = page_find(list[0] & 0x3f, list[0] & SUBPAGE_FORMAT ? list[1] : 0);
	if (!page || page->length > left)
		return 0;
	page_get(unit, page, PAGE_CURRENT, current);
	if ((list[0] & 0x7f) != current[0])
		return 0;
	for (gsize i = 1; i < page->length; i++)
		if ((list[i] ^ current[i]) & ~page->changeable[i])
			return 0;
	if (page->code == 0x0a)
		*ret_protected = (list[4] & SWP) != 0;
	return page->length;
}

static gboolean descriptors_check(const ScsiUnit *unit, const guint8 *list, gsize length,
				  gboolean is_long)
{
	guint8 own[16] = {0};

	return !length || (length == descriptor(unit, own, is_long) && !memcmp(list, own, length));
}

static RunnerStatus select_pages(ScsiUnit *unit, const guint8 *list, gsize length, gboolean ten,
				 guint8 *sense)
{
	gsize header = ten ? 8 : 4, described, at;
	gint is_protected = g_atomic_int_get(&unit->write_protected);

	if (length < header)
		return sense_refuse(sense, sense_parameter_list_length);
	described = ten ? (gsize)get_be(list + 6, 2) : list[3];
	if (described > length - header)
		return sense_refuse(sense, sense_parameter_list_length);
	if (!descriptors_check(unit, list + header, described, ten && list[4] & 1))
		return sense_refuse(sense, sense_invalid_parameter_list);
	for (at = header + described; at < length;) {
		gsize page = page_check(unit, list + at, length - at, &is_protected);

		if (!page)
			return sense_refuse(sense, sense_invalid_parameter_list);
		at += page;
	}
	g_atomic_int_set(&unit->write_protected, is_protected);
	return RUNNER_OK;
}

RunnerStatus scsi_mode_select(ScsiUnit *unit, const ScsiCommand *command, Request *request)
{
	const guint8 *cdb = command->cdb;
	gboolean ten = is_ten(cdb);
	gsize length = ten ? (gsize)get_be(cdb + 7, 2) : cdb[4];
	guint8 list[ANSWER_MAX];

	(void)request;
	if (cdb[1] & SAVE)
		return sense_set_cdb_field(command->sense, 1);
	if (!length)
		return RUNNER_OK;
	if (length > sizeof list || !scsi_take(command, list, length))
		return sense_refuse(command->sense, sense_parameter_list_length);
	return select_pages(unit, list, length, ten, command->sense);
}
