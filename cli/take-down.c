/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/take-down.h"

#include "cli/frontend-fuse.h"
#include "cli/frontend-tcmu.h"
#include "cli/links.h"
#include "common/autofd.h"

static gboolean take_down_parts(const Places *places, const Attachment *attachment, int claim,
				GError **error)
{
	autofd owned = claim;

	return frontend_tcmu_detach(places, &attachment->tcmu, error) &&
	       frontend_fuse_detach(places, &attachment->fuse, autofd_steal(&owned), error);
}

/* Only where the device is still the volume's. */
static void restore_links(const Places *places)
{
	g_autoptr(Attachment) now = attachment_inspect(places);

	if (now->device)
		links_restore(places, now->device);
}

gboolean take_down(const Places *places, const Attachment *attachment, int claim, GError **error)
{
	autofd owned = claim;

	if (!links_withdraw(places, error))
		return FALSE;
	if (take_down_parts(places, attachment, autofd_steal(&owned), error)) {
		places_remove(places);
		return TRUE;
	}
	restore_links(places);
	return FALSE;
}
