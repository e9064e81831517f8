/* SPDX-License-Identifier: Apache-2.0 */
#include "common/service/policy-config.h"

#include <string.h>

#include "common/base/error.h"
#include "common/base/files.h"
#include "common/base/names.h"
#include "common/base/units.h"
#include "common/service/config-text.h"

#define PERCENT_MAX 90

static void policy_volume_free(gpointer data)
{
	PolicyVolume *volume = data;

	volume_name_free(volume->name);
	g_free(volume->group);
	g_free(volume);
}

void policies_free(Policies *policies)
{
	if (!policies)
		return;
	g_clear_pointer(&policies->policies, g_ptr_array_unref);
	g_clear_pointer(&policies->volumes, g_ptr_array_unref);
	g_clear_pointer(&policies->warnings, g_ptr_array_unref);
	g_free(policies);
}

/* ---- values */

static gboolean value_refuse(const char *text, const char *wanted, GError **error)
{
	return error_set(error, STORAGEOS_ERROR_INVALID, "'%s' is not %s", text, wanted);
}

static gboolean read_keep(Policy *policy, PolicyPeriod period, const char *text, GError **error)
{
	guint64 keep;

	if (!g_ascii_string_to_unsigned(text, 10, 0, POLICY_KEEP_MAX, &keep, NULL))
		return value_refuse(text, "a number from 0 to 4000", error);
	policy->keep[period] = (guint)keep;
	return TRUE;
}

static gboolean read_hourly(Policy *policy, const char *text, GError **error)
{
	return read_keep(policy, POLICY_HOUR, text, error);
}

static gboolean read_daily(Policy *policy, const char *text, GError **error)
{
	return read_keep(policy, POLICY_DAY, text, error);
}

static gboolean read_weekly(Policy *policy, const char *text, GError **error)
{
	return read_keep(policy, POLICY_WEEK, text, error);
}

static gboolean read_monthly(Policy *policy, const char *text, GError **error)
{
	return read_keep(policy, POLICY_MONTH, text, error);
}

static gboolean read_freeze(Policy *policy, const char *text, GError **error)
{
	return policy_freeze_parse(text, &policy->freeze) ||
	       value_refuse(text, "one of auto, require, never", error);
}

static gboolean read_min_free(Policy *policy, const char *text, GError **error)
{
	g_autofree char *number = g_strndup(text, strlen(text) - (*text != '\0'));
	guint64 percent;

	if (!g_str_has_suffix(text, "%"))
		return size_parse(text, &policy->min_free) ||
		       value_refuse(text, "a size, or a percentage such as 10%", error);
	if (!g_ascii_string_to_unsigned(number, 10, 0, PERCENT_MAX, &percent, NULL))
		return value_refuse(text, "a percentage from 0% to 90%", error);
	policy->min_free_percent = (guint)percent;
	return TRUE;
}

static gboolean read_max_held(Policy *policy, const char *text, GError **error)
{
	return size_parse(text, &policy->max_held) || value_refuse(text, "a size", error);
}

static const struct {
	const char *name;
	gboolean (*read)(Policy *policy, const char *text, GError **error);
} keys[] = {
	{"hourly", read_hourly},     {"daily", read_daily},   {"weekly", read_weekly},
	{"monthly", read_monthly},   {"freeze", read_freeze}, {"min_free", read_min_free},
	{"max_held", read_max_held},
};

/* ---- groups */

static gboolean load_policy_key(Policies *policies, Policy *policy, GKeyFile *file,
				const char *group, const char *key, GError **error)
{
	g_autofree char *text = NULL;

	for (guint i = 0; i < G_N_ELEMENTS(keys); i++) {
		if (strcmp(key, keys[i].name) != 0)
			continue;
		text = config_text_get(file, group, key, error);
		if (!text)
			return FALSE;
		if (keys[i].read(policy, text, error))
			return TRUE;
		g_prefix_error(error, "key '%s' of [%s]: ", key, group);
		return FALSE;
	}
	g_ptr_array_add(policies->warnings,
			g_strdup_printf("unknown key '%s' in [%s]", key, group));
	return TRUE;
}

static gboolean keeps_something(const Policy *policy)
{
	for (PolicyPeriod period = 0; period < POLICY_PERIODS; period++)
		if (policy->keep[period])
			return TRUE;
	return FALSE;
}

static gboolean load_policy(Policies *policies, GKeyFile *file, const char *group, GError **error)
{
	const char *name = group + strlen(CONFIG_GROUP_POLICY);
	g_auto(GStrv) found = g_key_file_get_keys(file, group, NULL, NULL);
	Policy *policy = g_new0(Policy, 1);

	g_ptr_array_add(policies->policies, policy);
	policy->name = g_strdup(name);
	if (!name_valid(name))
		return error_set(error, STORAGEOS_ERROR_INVALID,
				 "group [%s]: invalid policy name '%s': must be " NAME_RULE, group,
				 name);
	for (guint i = 0; found && found[i]; i++)
		if (!load_policy_key(policies, policy, file, group, found[i], error))
			return FALSE;
	return keeps_something(policy) ||
	       error_set(error, STORAGEOS_ERROR_INVALID,
			 "[%s] keeps nothing: give hourly, daily, weekly or monthly", group);
}

static const Policy *policy_find(const Policies *policies, const char *name)
{
	for (guint i = 0; i < policies->policies->len; i++) {
		const Policy *policy = g_ptr_array_index(policies->policies, i);

		if (!strcmp(policy->name, name))
			return policy;
	}
	return NULL;
}

/* Refuses a second group of one volume, and a second policy in one group of volumes: its volumes
 * could not be due at the same time. */
static gboolean volume_check(const Policies *policies, const PolicyVolume *volume, GError **error)
{
	g_autofree char *text = volume_name_format(volume->name);

	for (guint i = 0; i < policies->volumes->len; i++) {
		const PolicyVolume *other = g_ptr_array_index(policies->volumes, i);
		g_autofree char *other_text = volume_name_format(other->name);

		if (!strcmp(text, other_text))
			return error_set(error, STORAGEOS_ERROR_INVALID,
					 "the volume %s has two groups", text);
		if (volume->group && !g_strcmp0(volume->group, other->group) &&
		    volume->policy != other->policy)
			return error_set(error, STORAGEOS_ERROR_INVALID,
					 "the volumes %s and %s of the group '%s' have different "
					 "policies",
					 other_text, text, volume->group);
	}
	return TRUE;
}

static gboolean load_volume_policy(Policies *policies, PolicyVolume *volume, GKeyFile *file,
				   const char *group, GError **error)
{
	g_autofree char *text = config_text_get(file, group, "policy", error);

	if (!text)
		return FALSE;
	volume->policy = policy_find(policies, text);
	return volume->policy ||
	       error_set(error, STORAGEOS_ERROR_INVALID,
			 "key 'policy' of [%s]: there is no [policy %s]", group, text);
}

static gboolean load_volume_group(PolicyVolume *volume, GKeyFile *file, const char *group,
				  GError **error)
{
	if (!g_key_file_has_key(file, group, "group", NULL))
		return TRUE;
	volume->group = config_text_get(file, group, "group", error);
	if (!volume->group)
		return FALSE;
	return name_valid(volume->group) ||
	       error_set(error, STORAGEOS_ERROR_INVALID,
			 "key 'group' of [%s]: invalid name '%s': must be " NAME_RULE, group,
			 volume->group);
}

static void warn_of_unknown_volume_keys(Policies *policies, GKeyFile *file, const char *group)
{
	g_auto(GStrv) found = g_key_file_get_keys(file, group, NULL, NULL);

	for (guint i = 0; found && found[i]; i++)
		if (strcmp(found[i], "policy") != 0 && strcmp(found[i], "group") != 0)
			g_ptr_array_add(
				policies->warnings,
				g_strdup_printf("unknown key '%s' in [%s]", found[i], group));
}

static gboolean load_volume(Policies *policies, GKeyFile *file, const char *group, GError **error)
{
	PolicyVolume *volume = g_new0(PolicyVolume, 1);

	volume->name = volume_name_parse(group + strlen(CONFIG_GROUP_VOLUME), error);
	if (volume->name && load_volume_policy(policies, volume, file, group, error) &&
	    load_volume_group(volume, file, group, error) &&
	    volume_check(policies, volume, error)) {
		warn_of_unknown_volume_keys(policies, file, group);
		g_ptr_array_add(policies->volumes, volume);
		return TRUE;
	}
	policy_volume_free(volume);
	return FALSE;
}

/* ---- the file */

typedef gboolean (*GroupLoader)(Policies *policies, GKeyFile *file, const char *group,
				GError **error);

static gboolean load_groups(Policies *policies, GKeyFile *file, const char *prefix,
			    GroupLoader load, GError **error)
{
	g_auto(GStrv) groups = g_key_file_get_groups(file, NULL);

	for (guint i = 0; groups[i]; i++)
		if (g_str_has_prefix(groups[i], prefix) && !load(policies, file, groups[i], error))
			return FALSE;
	return TRUE;
}

/* Policies first: a volume may stand before its policy. */
static gboolean load_file(Policies *policies, const Config *config, GError **error)
{
	g_autoptr(GKeyFile) file = g_key_file_new();
	g_autoptr(GError) problem = NULL;
	g_autofree char *text = files_read(config->file, FILES_TEXT_MAX, NULL, &problem);

	if (!text && !config->named &&
	    g_error_matches(problem, STORAGEOS_ERROR, STORAGEOS_ERROR_NOT_FOUND))
		return TRUE;
	if (!text) {
		g_propagate_error(error, g_steal_pointer(&problem));
		return FALSE;
	}
	if (!config_text_parse(text, file, NULL, &problem))
		return error_set(error, STORAGEOS_ERROR_INVALID, "%s", problem->message);
	return load_groups(policies, file, CONFIG_GROUP_POLICY, load_policy, error) &&
	       load_groups(policies, file, CONFIG_GROUP_VOLUME, load_volume, error);
}

Policies *policies_load(const Config *config, GError **error)
{
	g_autoptr(Policies) policies = g_new0(Policies, 1);

	policies->policies = g_ptr_array_new_with_free_func((GDestroyNotify)policy_free);
	policies->volumes = g_ptr_array_new_with_free_func(policy_volume_free);
	policies->warnings = g_ptr_array_new_with_free_func(g_free);
	if (load_file(policies, config, error))
		return g_steal_pointer(&policies);
	g_prefix_error(error, "configuration %s: ", config->file);
	return NULL;
}
