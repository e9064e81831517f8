/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/handler/failover-image.h"

#include <errno.h>

#include "common/base/error.h"

#define COUNT_INTERVAL SECOND
#define STEP (SECOND / 10)

/* ---- what Ceph does */

static gboolean fail(GError **error)
{
	return error_set(error, STORAGEOS_ERROR_IO, "Ceph does not answer");
}

static gboolean image_owner(gpointer data, BackingOwner *ret_owner, GError **error)
{
	Machine *machine = data;
	Image *image = machine->image;
	guint owner;

	if (machine->cut)
		return fail(error);
	g_mutex_lock(&image->lock);
	owner = image->owner;
	memset(ret_owner, 0, sizeof *ret_owner);
	if (owner) {
		g_snprintf(ret_owner->client, sizeof ret_owner->client, "client.%u", owner);
		g_strlcpy(ret_owner->host, image->machines_of[owner]->host, sizeof ret_owner->host);
		ret_owner->count = image->counts[owner];
	}
	g_mutex_unlock(&image->lock);
	return TRUE;
}

static gboolean take_locked(Image *image, Machine *machine, const char *client)
{
	g_autofree char *owner = g_strdup_printf("client.%u", image->owner);

	if (machine->take_fails || image->blocklisted[machine->client] ||
	    g_strcmp0(image->owner ? owner : NULL, client))
		return FALSE;
	if (image->owner) {
		image->blocklisted[image->owner] = TRUE;
		image->breaks++;
	}
	image->owner = machine->client;
	image->counted = image->now;
	image->takes++;
	return TRUE;
}

static gboolean image_take(gpointer data, const char *client, GError **error)
{
	Machine *machine = data;
	gboolean taken;
	guint64 stamp;

	if (machine->cut)
		return fail(error);
	g_mutex_lock(&machine->image->lock);
	taken = take_locked(machine->image, machine, client);
	g_mutex_unlock(&machine->image->lock);
	if (machine->dies_young) {
		image_blocklist(machine->image, machine);
		machine_read(machine, 0, &stamp);
	}
	return taken || error_set(error, STORAGEOS_ERROR_BUSY, "another client has it");
}

static void handle_open_locked(Machine *machine)
{
	Image *image = machine->image;

	g_assert(image->clients + 1 < IMAGE_CLIENTS);
	if (image->owner == machine->client)
		image->owner = 0; /* closing gives the lock back */
	machine->client = ++image->clients;
	image->machines_of[machine->client] = machine;
}

static gboolean image_reopen(gpointer data, GError **error)
{
	Machine *machine = data;

	if (machine->cut)
		return fail(error);
	g_mutex_lock(&machine->image->lock);
	handle_open_locked(machine);
	machine->reopened++;
	g_mutex_unlock(&machine->image->lock);
	return TRUE;
}

static gboolean image_is_fenced(gpointer data)
{
	Machine *machine = data;
	gboolean fenced;

	g_mutex_lock(&machine->image->lock);
	fenced = !machine->cut && machine->image->blocklisted[machine->client];
	g_mutex_unlock(&machine->image->lock);
	return fenced;
}

static gint64 image_now(gpointer data)
{
	Machine *machine = data;

	return __atomic_load_n(&machine->image->now, __ATOMIC_RELAXED);
}

static const FailoverOps ops = {.owner = image_owner,
				.take = image_take,
				.reopen = image_reopen,
				.is_fenced = image_is_fenced,
				.now = image_now};

/* ---- the world */

static void machine_init(Image *image, Machine *machine, const char *host)
{
	machine->image = image;
	machine->host = host;
	handle_open_locked(machine);
	machine->failover = failover_new(&ops, machine, host);
}

Image *image_new(void)
{
	Image *image = g_new0(Image, 1);

	g_mutex_init(&image->lock);
	image->now = 1000 * SECOND;
	machine_init(image, &image->a, "alpha");
	machine_init(image, &image->b, "beta");
	return image;
}

void image_free(Image *image)
{
	failover_free(image->a.failover);
	failover_free(image->b.failover);
	g_mutex_clear(&image->lock);
	g_free(image);
}

Machine *image_other(Image *image, const Machine *machine)
{
	return machine == &image->a ? &image->b : &image->a;
}

void image_blocklist(Image *image, Machine *machine)
{
	g_mutex_lock(&image->lock);
	image->blocklisted[machine->client] = TRUE;
	g_mutex_unlock(&image->lock);
}

FailoverState machine_state(const Machine *machine)
{
	FailoverInfo info;

	failover_describe(machine->failover, &info);
	return info.state;
}

void machine_settle(Machine *machine)
{
	for (guint i = 0; i < 8; i++)
		machine->due = failover_step(machine->failover);
}

/* A real thread is roused by requests: here it looks at each moment whether that may have been. */
static void machine_pass(Machine *machine)
{
	FailoverState before = machine_state(machine);

	if (machine->frozen)
		return;
	if (before == FAILOVER_TAKEOVER && machine->due > machine->image->now &&
	    machine->due <= machine->image->now + SECOND)
		return; /* it waits for the next look */
	machine->due = failover_step(machine->failover);
	for (guint i = 0; i < 8 && !machine->due; i++)
		machine->due = failover_step(machine->failover);
}

static void owner_counts_locked(Image *image)
{
	guint owner = image->owner;

	if (image->now - image->counted < COUNT_INTERVAL)
		return;
	image->counted = image->now;
	if (!owner || image->machines_of[owner]->frozen || image->machines_of[owner]->cut)
		return;
	image->counts[owner] += image->changes[owner] > 0;
	image->changes[owner] = 0;
}

void image_pass(Image *image, gint64 duration)
{
	for (gint64 end = image->now + duration; image->now < end;) {
		g_mutex_lock(&image->lock);
		__atomic_store_n(&image->now, MIN(image->now + STEP, end), __ATOMIC_RELAXED);
		owner_counts_locked(image);
		g_mutex_unlock(&image->lock);
		machine_pass(&image->a);
		machine_pass(&image->b);
	}
}

/* ---- requests */

static int store_locked(Image *image, const Machine *machine, guint block, guint64 stamp)
{
	if (image->blocklisted[machine->client])
		return -ESHUTDOWN;
	if (image->owner != machine->client)
		return -EROFS;
	image->regressed |= stamp < image->blocks[block];
	image->blocks[block] = stamp;
	image->changes[machine->client]++;
	return 0;
}

int machine_store(Machine *machine, guint block, guint64 stamp)
{
	int r;

	if (machine->cut)
		return -EIO;
	g_mutex_lock(&machine->image->lock);
	r = store_locked(machine->image, machine, block, stamp);
	g_mutex_unlock(&machine->image->lock);
	return r;
}

int machine_load(Machine *machine, guint block, guint64 *ret_stamp)
{
	Image *image = machine->image;
	int r;

	g_mutex_lock(&image->lock);
	*ret_stamp = image->blocks[block];
	r = machine->cut || image->blocklisted[machine->client] ? -EIO : 0;
	g_mutex_unlock(&image->lock);
	return r;
}

int machine_write(Machine *machine, guint block, guint64 stamp)
{
	int r = failover_begin(machine->failover, FAILOVER_CHANGES);

	if (r)
		return r;
	r = failover_verdict(machine->failover, machine_store(machine, block, stamp));
	failover_end(machine->failover);
	return r;
}

int machine_read(Machine *machine, guint block, guint64 *ret_stamp)
{
	int r = failover_begin(machine->failover, FAILOVER_READS);

	if (r)
		return r;
	r = failover_verdict(machine->failover, machine_load(machine, block, ret_stamp));
	failover_end(machine->failover);
	return r;
}
