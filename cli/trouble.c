/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/trouble.h"

static const char *plural_suffix(gint64 number)
{
	return number == 1 ? "" : "s";
}

char *trouble_find(const Attachment *attachment, const char *volume)
{
	const Facts *facts = &attachment->facts;
	gint64 mismatches = attachment->sample
				    ? json_get_number(attachment->sample->data, "checksum_errors")
				    : 0;

	if (attachment->facts_error)
		return NULL;
	if (facts->missing_from)
		return g_strdup_printf("the volume's file ends at byte %" G_GUINT64_FORMAT
				       "; everything beyond is lost (see: storageos check %s)",
				       facts->missing_from, volume);
	if (mismatches)
		return g_strdup_printf("%" G_GINT64_FORMAT
				       " checksum error%s since it was opened (see: "
				       "storageos scrub %s --status)",
				       mismatches, plural_suffix(mismatches), volume);
	if (facts->claimed_by && !facts->holder)
		return g_strdup_printf("%s has its disk open, or has died with it",
				       facts->claimed_by);
	if (facts->scrub_errors)
		return g_strdup_printf("the last scrub found %" G_GUINT64_FORMAT
				       " error%s (see: storageos scrub %s)",
				       facts->scrub_errors,
				       plural_suffix((gint64)facts->scrub_errors), volume);
	return NULL;
}
