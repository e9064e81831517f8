/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/take-down.h"

#include <errno.h>

#include "cli/bounded.h"
#include "cli/cli.h"
#include "cli/device-use.h"
#include "cli/frontend-fuse.h"
#include "cli/frontend-tcmu.h"
#include "cli/links.h"
#include "common/base/autofd.h"
#include "common/base/error.h"

#define FLUSH_STALL_SECONDS 30
#define FLUSH_TOTAL_SECONDS 1800

typedef struct {
	const Places *places;
	const Attachment *attachment;
	int claim;     /* exclusive descriptor of the device; -1: no device, or it hangs */
	gboolean hung; /* the device's server does not answer */
} Taking;

/* ---- claiming the device */

/* Makes sure that nobody uses the device.  A device whose server is dead or does not answer is not
 * opened, because opening it may hang; only its uses are looked for. */
static gboolean device_claim(Taking *taking, GError **error)
{
	const char *device = taking->attachment->device;
	g_autoptr(GError) problem = NULL;
	g_autofree char *use = NULL;

	if (!device)
		return TRUE;
	if (attachment_device_works(taking->attachment)) {
		taking->claim = device_use_claim(device, &problem);
		if (taking->claim >= 0)
			return TRUE;
		if (g_error_matches(problem, STORAGEOS_ERROR, STORAGEOS_ERROR_BUSY)) {
			g_propagate_error(error, g_steal_pointer(&problem));
			return FALSE;
		}
		cli_say("detach %s: %s", taking->places->text, problem->message);
		taking->hung = TRUE;
	}
	use = device_use_find(device);
	return !use || error_set(error, STORAGEOS_ERROR_BUSY, "it is in use: %s", use);
}

/* ---- flushing */

static void flush_say_lost(const Taking *taking, const char *why)
{
	const Attachment *attachment = taking->attachment;
	gboolean failed = attachment->state == STATE_FAILED;

	cli_say("detach %s: flush of %s: %s%s%s; data that was not flushed before may be lost",
		taking->places->text, attachment->device, why, failed ? "; " : "",
		failed ? attachment->problem : "");
}

static gboolean device_flush(Taking *taking, GError **error)
{
	const char *device = taking->attachment->device;
	int err;

	if (taking->claim < 0)
		return TRUE;
	cli_progress("detach %s: flushing %s", taking->places->text, device);
	err = bounded_flush(device, FLUSH_STALL_SECONDS, FLUSH_TOTAL_SECONDS);
	if (err == EINPROGRESS)
		return error_set(error, STORAGEOS_ERROR_BUSY,
				 "flush of %s: still running after %d s; detach again", device,
				 FLUSH_TOTAL_SECONDS);
	if (err == EINTR)
		return error_set(error, STORAGEOS_ERROR_BUSY, "interrupted; it is still attached");
	taking->hung = err == ETIMEDOUT;
	if (taking->hung)
		flush_say_lost(taking, "its disk does not answer");
	else if (err)
		flush_say_lost(taking, g_strerror(err));
	return TRUE;
}

/* ---- taking down the parts */

static gboolean parts_take_down(Taking *taking, GError **error)
{
	const Attachment *attachment = taking->attachment;

	return frontend_tcmu_detach(taking->places, &attachment->tcmu, taking->hung, error) &&
	       frontend_fuse_detach(taking->places, &attachment->fuse, taking->hung,
				    autofd_steal(&taking->claim), error);
}

/* Does nothing if the device no longer shows the volume. */
static void links_restore_if_ours(const Places *places)
{
	g_autoptr(Attachment) now = attachment_inspect(places);

	if (now->device)
		links_restore(places, now->device);
}

static gboolean take_down_claimed(Taking *taking, GError **error)
{
	if (!device_flush(taking, error) || !links_withdraw(taking->places, error))
		return FALSE;
	if (parts_take_down(taking, error)) {
		places_remove(taking->places);
		return TRUE;
	}
	links_restore_if_ours(taking->places);
	return FALSE;
}

gboolean take_down(const Places *places, const Attachment *attachment, GError **error)
{
	Taking taking = {.places = places, .attachment = attachment, .claim = -1};
	gboolean done = device_claim(&taking, error) && take_down_claimed(&taking, error);

	autofd_close(&taking.claim);
	return done;
}
