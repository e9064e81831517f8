/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/power/headless.h"

#include <string.h>

#include "common/base/error.h"
#include "tests/harness.h"
#include "tests/power/base.h"

#define SHARE 16   /* one of so many disks is tried ... */
#define ALWAYS 100 /* ... and each of the first so many */

static guint n_seen, n_read, n_refused; /* atomic */

static gboolean had_none(const GError *error)
{
	return g_error_matches(error, STORAGEOS_ERROR, STORAGEOS_ERROR_CORRUPT) &&
	       (g_str_has_suffix(error->message, ": both superblocks are damaged") ||
		g_str_has_suffix(error->message, ": no storageos volume"));
}

char *headless_try(Image *image, guint64 hash, const Recording *from, guint64 cut, gboolean all)
{
	g_autofree guint32 *content = NULL;
	const History *history;
	g_autoptr(Image) left = image_clone(image);
	g_autoptr(Disk) disk = NULL;
	g_autoptr(GError) error = NULL;
	char *why = NULL;
	Volume *volume;

	if ((guint)g_atomic_int_add(&n_seen, 1) >= ALWAYS && hash % SHARE)
		return NULL;
	for (; cut < from->opened; from = from->before) {
		cut = from->before_cut;
		all = all &&
		      from->before_died; /* a cut of power after a death takes what a cut does */
	}
	history = from->history;
	content = g_new(guint32, history_numbers(history));
	image_punch(left, 0, MIB);
	disk = disk_new_plain(left);
	volume = volume_open_linked(disk_backing(disk), "test", 0, base_open, NULL, &error);
	if (!volume) {
		g_atomic_int_inc(&n_refused);
		return had_none(error) ? NULL : g_strdup(error->message);
	}
	if (stamp_read(volume, history_sectors(history), content, &why))
		history_check(history, cut, all, content, &why);
	volume_abandon(volume);
	g_atomic_int_inc(&n_read);
	return why;
}

void headless_report(void)
{
	test_note("without their first MiB: %u read, %u refused, as they had no far copies",
		  (guint)g_atomic_int_get(&n_read), (guint)g_atomic_int_get(&n_refused));
}
