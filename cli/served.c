/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/served.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/service/pool.h"

#define BEGIN_SECONDS 5

/* Compares place and UUID.  An older server does not report its place; then the UUID decides. */
static gboolean facts_match_sample(const Facts *facts, const Sample *sample)
{
	BackingPlace served = sample_place(sample);
	gboolean place_known = served.device || served.inode;

	return (!place_known || backing_place_equal(&facts->place, &served)) &&
	       (!*facts->uuid || !g_strcmp0(facts->uuid, sample_uuid(sample)));
}

char *served_difference(const char *volume, const Facts *facts, const GError *problem,
			const Sample *sample)
{
	const char *uuid = sample ? sample_uuid(sample) : NULL;

	if (!sample || !uuid)
		return NULL;
	if (facts->place.device)
		return facts_match_sample(facts, sample)
			       ? NULL
			       : g_strdup_printf(
					 "%s is still served from a file that is no longer %s "
					 "(UUID %s); detach it first",
					 volume, facts->path, uuid);
	if (!g_error_matches(problem, STORAGEOS_ERROR, STORAGEOS_ERROR_NOT_FOUND))
		return NULL;
	return g_strdup_printf(
		"%s is still served from a file that is not there any more (UUID %s): "
		"%s; detach it first",
		volume, uuid, problem->message);
}

gboolean served_is_in_place(const Config *config, const VolumeName *name, const Sample *sample)
{
	g_autofree char *path = pool_volume_place(config, name);
	BackingPlace served = sample_place(sample), now;
	struct stat st;

	if (pool_is_ceph(config, name)) /* nobody can replace an image that is open */
		return TRUE;
	if (!served.inode || !path || stat(path, &st))
		return FALSE;
	now = backing_place_of_stat(&st);
	return backing_place_equal(&now, &served);
}

gboolean served_just_begins(gint64 since, GError **error)
{
	if (!g_error_matches(*error, STORAGEOS_ERROR, STORAGEOS_ERROR_BUSY) ||
	    g_get_monotonic_time() - since > BEGIN_SECONDS * G_USEC_PER_SEC)
		return FALSE;
	g_clear_error(error);
	g_usleep(G_USEC_PER_SEC / 10);
	return TRUE;
}

gboolean served_check_sample(const Config *config, const VolumeName *name, const Sample *sample,
			     GError **error)
{
	g_autofree char *text = volume_name_format(name);
	g_autofree char *difference = NULL;
	g_autoptr(GError) problem = NULL;
	g_auto(Facts) facts = {0};

	facts_read(config, name, &facts, &problem);
	difference = served_difference(text, &facts, problem, sample);
	return !difference || error_set(error, STORAGEOS_ERROR_BUSY, "%s", difference);
}

gboolean served_only_for_reading(const Config *config, const VolumeName *name)
{
	g_autoptr(Backing) backing = NULL;
	g_auto(Facts) facts = {0};

	if (pool_is_ceph(config, name) || !facts_read(config, name, &facts, NULL))
		return FALSE;
	if (access(facts.path, W_OK) && errno == EROFS)
		return TRUE;
	if (facts.holder)
		backing = backing_open(facts.path, BACKING_OPEN_READ_ONLY, NULL);
	return backing && backing_lock(backing, FALSE, NULL);
}

gboolean served_check(const Config *config, const VolumeName *name, GError **error)
{
	g_autoptr(Sample) sample = sample_take(config, name, NULL);

	return !sample || served_check_sample(config, name, sample, error);
}
