/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device whose volume other gateways may have, too (failover.h).
 *
 * The handle of the failover is the volume.  Every request holds it from device_begin() until its
 * task is freed, so it is replaced only when no thread is in it, however late that is; what else
 * uses it (the monitor, a resize) is ended before, or holds it likewise.
 */
#include <errno.h>

#include "common/base/error.h"
#include "common/base/json.h"
#include "handler/device-private.h"

#define FIT_INTERVAL (1 * G_USEC_PER_SEC)

/* ---- what the failover asks for */

static gboolean over_owner(gpointer data, BackingOwner *ret_owner, GError **error)
{
	return volume_owner(device_volume(data), ret_owner, error);
}

/* Whoever had it may have made it larger, or changed its properties. */
static gboolean over_take(gpointer data, const char *client, GError **error)
{
	Device *device = data;
	Volume *volume = device_volume(device);

	if (!volume_take_over(volume, client, error))
		return FALSE;
	device_take_size(device, volume, TRUE);
	monitor_follow_properties(device->monitor);
	return TRUE;
}

static gboolean over_is_fenced(gpointer data)
{
	Volume *volume = device_volume(data);

	return volume && volume_is_fenced(volume);
}

/* Nobody needs what closing a fenced volume says. */
static gboolean over_reopen(gpointer data, GError **error)
{
	Device *device = data;
	Volume *volume = device_volume(device);

	g_clear_pointer(&device->monitor, monitor_free);
	g_atomic_pointer_set(&device->volume, NULL);
	volume_close(volume, NULL);
	volume = opening_try(device->opening, FALSE, error);
	if (!volume)
		return FALSE;
	__atomic_store_n(&device->fit, FALSE, __ATOMIC_RELEASE);
	device_serve(device, volume);
	return TRUE;
}

static void over_changed(gpointer data, FailoverState state)
{
	Device *device = data;

	g_atomic_int_set(&device->unit.fenced, state == FAILOVER_FENCED);
}

gboolean device_start_failover(Device *device, GError **error)
{
	static const FailoverOps ops = {.owner = over_owner,
					.take = over_take,
					.reopen = over_reopen,
					.is_fenced = over_is_fenced,
					.changed = over_changed};

	if (!opening_has_failover(device->opening))
		return TRUE;
	device->failover = failover_new(&ops, device, device->name);
	if (!device->failover)
		return error_set(error, STORAGEOS_ERROR_NO_SPACE, "out of memory");
	device->unit.shared = TRUE;
	device->unit.unfit = TRUE; /* until that was looked at */
	return failover_start(device->failover, error);
}

/* ---- requests */

/* A flush of a volume without a write cache changes nothing. */
int device_begin(Device *device, const Request *request)
{
	gboolean reads = request_reads(request) || request->kind == REQUEST_FLUSH ||
			 request->kind == REQUEST_NOTHING;

	if (!device->failover)
		return 0;
	return failover_begin(device->failover, reads ? FAILOVER_READS : FAILOVER_CHANGES);
}

int device_verdict(Device *device, int result)
{
	return device->failover ? failover_verdict(device->failover, result) : result;
}

int device_late_verdict(Device *device, int result)
{
	return g_atomic_int_get(&device->unit.fenced) ? -ESTALE : result;
}

void device_end(gpointer data)
{
	Device *device = data;

	if (device->failover)
		failover_end(device->failover);
}

gboolean device_hold_owned(Device *device)
{
	FailoverInfo info;

	if (!device->failover)
		return TRUE;
	failover_describe(device->failover, &info);
	return info.state == FAILOVER_OWNER && !failover_begin(device->failover, FAILOVER_READS);
}

/* ---- what is told */

/* Called by the control socket's thread. */
void device_show_failover(gpointer data, Json *stats)
{
	Device *device = data;
	Json *object = json_object_new_object();
	FailoverInfo info;

	failover_describe(device->failover, &info);
	json_add_text(object, "state", failover_state_name(info.state));
	json_add_number(object, "seconds",
			(guint64)((g_get_monotonic_time() - info.since) / G_USEC_PER_SEC));
	json_add_number(object, "takeovers", info.takeovers);
	json_add_number(object, "fencings", info.fencings);
	json_add_text(object, "owner", info.owner.host[0] ? info.owner.host : NULL);
	json_add_text(object, "owner_client", info.owner.client[0] ? info.owner.client : NULL);
	json_object_object_add(stats, "failover", object);
}

/* ---- the backstore
 *
 * targetcli sets the serial number and the attributes only after the kernel has announced the
 * device.  So this is not looked at when the device is opened but when commands come, of which the
 * first comes after all that. */

/* What is wrong with it; NULL: nothing. */
static char *find_misfit(Device *device, Volume *volume)
{
	ScsiIdentity identity;
	char uuid[37];

	device_identify(device, &identity);
	volume_get_uuid(volume, uuid);
	if (!identity.no_reservations)
		return g_strdup("its attribute emulate_pr must be 0, as another gateway would not "
				"know of reservations (targetcli BACKSTORE set attribute "
				"emulate_pr=0)");
	if (g_ascii_strcasecmp(identity.serial, uuid) != 0)
		return g_strdup_printf("its serial number must be %s, so that initiators know it "
				       "by every gateway (targetcli create ... wwn=%s); it is '%s'",
				       uuid, uuid, identity.serial);
	return NULL;
}

static gboolean is_time_to_look(Device *device)
{
	gint64 now = g_get_monotonic_time();
	gint64 before = __atomic_load_n(&device->fit_looked, __ATOMIC_RELAXED);

	return (!before || now - before >= FIT_INTERVAL) &&
	       __atomic_compare_exchange_n(&device->fit_looked, &before, now, FALSE,
					   __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

static void look_at_fit(Device *device, Volume *volume)
{
	g_autofree char *misfit = find_misfit(device, volume);

	if (misfit)
		logging_write_limited(&device->unfit, LOGGING_ERROR,
				      "%s: refused until its backstore is set up for failover: %s",
				      device->name, misfit);
	g_atomic_int_set(&device->unit.unfit, misfit != NULL);
	__atomic_store_n(&device->fit, misfit == NULL, __ATOMIC_RELEASE);
}

/* The volume may be replaced meanwhile unless it is held. */
void device_check_fit(Device *device)
{
	if (!device->failover || __atomic_load_n(&device->fit, __ATOMIC_ACQUIRE) ||
	    !device_volume(device) || !is_time_to_look(device) ||
	    failover_begin(device->failover, FAILOVER_READS))
		return;
	look_at_fit(device, device_volume(device));
	failover_end(device->failover);
}
