/* SPDX-License-Identifier: Apache-2.0 */
#include "common/service/monitor.h"

#include <string.h>
#include <unistd.h>

#include "common/base/bounds.h"
#include "common/service/control-address.h"
#include "common/service/control.h"
#include "common/base/error.h"
#include "common/base/logging.h"
#include "common/service/volume-limits.h"
#include "common/service/property-command.h"
#include "common/service/property-rules.h"
#include "common/service/scrub-json.h"
#include "common/service/snapshot-commands.h"
#include "common/base/text.h"

#define RESIZE_SECONDS 2	     /* until the answer */
#define SCRUB_STOP_MILLISECONDS 1000 /* so that the answer has the final status */

struct Monitor {
	char *volume_name, *run_directory;
	const char *frontend;
	Volume *volume;
	const Metrics *metrics;
	MonitorMore more;
	gint64 begun; /* monotonic microseconds */
	Scrub *scrub; /* the last one; only the socket's thread uses it */
	Control *control;
};

static const char *state_name(VolumeState state)
{
	switch (state) {
	case VOLUME_OK:
		return "ok";
	case VOLUME_FAILED:
		return "failed";
	case VOLUME_READ_ONLY:
		return "read-only";
	}
	return "?";
}

static void add_identity(Monitor *monitor, const VolumeInfo *info, Json *data)
{
	g_autofree char *failure = volume_failure(monitor->volume);

	json_add_text(data, "volume", monitor->volume_name);
	json_add_text(data, "uuid", info->uuid);
	json_add_number(data, "device", info->place.device);
	json_add_number(data, "inode", info->place.inode);
	json_add_text(data, "frontend", monitor->frontend);
	json_add_number(data, "pid", (guint64)getpid());
	json_add_text(data, "program_version", STORAGEOS_VERSION);
	json_add_text(data, "state", state_name(info->state));
	json_add_text(data, "failure", failure);
	if (failure)
		json_add_number(data, "failed_since",
				(guint64)volume_failed_since(monitor->volume));
	json_add_number(data, "served_seconds",
			(guint64)((g_get_monotonic_time() - monitor->begun) / G_USEC_PER_SEC));
	json_add_number(data, "in_flight",
			__atomic_load_n(&monitor->metrics->in_flight, __ATOMIC_RELAXED));
}

static Json *operations_to_json(const Metrics *metrics)
{
	Json *object = json_object_new_object();

	for (MetricsKind kind = 0; kind < METRICS_KINDS; kind++)
		json_object_object_add(object, metrics_kind_name(kind),
				       metrics_to_json(&metrics->operations[kind]));
	return object;
}

static Json *space_to_json(const VolumeInfo *info)
{
	Json *object = json_object_new_object();

	json_add_number(object, "size", info->size);
	json_add_number(object, "allocated", info->backing_bytes);
	json_add_number(object, "data", info->data_bytes);
	json_add_number(object, "metadata", info->metadata_bytes);
	json_add_number(object, "reclaimable", info->pending_bytes);
	json_add_number(object, "reserve", info->reserve_bytes);
	json_add_flag(object, "reserve_ready", info->reserve_ready);
	json_add_number(object, "run", info->run_bytes);
	json_add_number(object, "tidied", info->tidied_bytes);
	json_add_flag(object, "tidying", info->tidying);
	return object;
}

static Json *cache_to_json(const VolumeInfo *info)
{
	Json *object = json_object_new_object();

	json_add_number(object, "nodes", info->cache_nodes);
	json_add_number(object, "hits", info->cache_hits);
	json_add_number(object, "misses", info->cache_misses);
	return object;
}

static Json *journal_to_json(const VolumeInfo *info)
{
	Json *object = json_object_new_object();

	json_add_number(object, "size", info->journal_size);
	json_add_number(object, "used", info->journal_used);
	return object;
}

static Json *scrub_result_to_json(const VolumeInfo *info)
{
	Json *object = json_object_new_object();

	json_add_number(object, "time", info->scrub_time);
	json_add_number(object, "blocks", info->scrub_blocks);
	json_add_number(object, "errors", info->scrub_errors);
	json_add_number(object, "repaired", info->scrub_repaired);
	return object;
}

/* Of a linked clone. */
static Json *base_to_json(const VolumeInfo *info)
{
	Json *object = json_object_new_object();

	json_add_text(object, "name", info->base);
	json_add_number(object, "depth", info->depth);
	json_add_number(object, "bytes", info->base_bytes);
	return object;
}

static Json *command_stats(Monitor *monitor)
{
	Json *data = json_object_new_object();
	VolumeInfo info;

	volume_get_info(monitor->volume, &info);
	add_identity(monitor, &info, data);
	json_add_flag(data, "direct", volume_is_direct(monitor->volume));
	json_object_object_add(data, "operations", operations_to_json(monitor->metrics));
	json_object_object_add(data, "space", space_to_json(&info));
	json_object_object_add(data, "cache", cache_to_json(&info));
	json_object_object_add(data, "journal", journal_to_json(&info));
	json_object_object_add(data, "scrub", scrub_result_to_json(&info));
	if (info.depth)
		json_object_object_add(data, "base", base_to_json(&info));
	json_object_object_add(data, "snapshots", snapshot_summary(monitor->volume, &info));
	json_add_number(data, "checkpoints", info.checkpoints);
	json_add_number(data, "generation", info.generation);
	json_add_number(data, "checksum_errors", info.checksum_errors);
	json_add_number(data, "copies_repaired", info.copies_repaired);
	if (monitor->more.limiter)
		json_object_object_add(data, "limits", limiter_to_json(monitor->more.limiter));
	if (monitor->more.add)
		monitor->more.add(monitor->more.data, data);
	return data;
}

static gboolean is_scrubbing(const Monitor *monitor)
{
	ScrubStatus status = {0};

	if (monitor->scrub)
		scrub_get_status(monitor->scrub, &status);
	return status.running;
}

/* The request's, the volume's, or the usual one. */
static guint64 scrub_rate_get(Monitor *monitor, Json *request)
{
	guint64 rate = SCRUB_RATE;
	Properties properties;

	if (json_get_typed(request, "rate", json_type_int))
		return (guint64)max_i64(json_get_number(request, "rate"), 0);
	volume_get_properties(monitor->volume, &properties);
	property_get_size(&properties, PROPERTY_SCRUB_RATE, &rate);
	return rate;
}

static Json *command_scrub_start(Monitor *monitor, Json *request, GError **error)
{
	gboolean running = is_scrubbing(monitor);
	guint64 rate = scrub_rate_get(monitor, request);
	VolumeInfo info;
	Json *data;

	volume_get_info(monitor->volume, &info);
	if (info.state == VOLUME_READ_ONLY) {
		error_set(error, STORAGEOS_ERROR_UNSUPPORTED, "%s",
			  strchr(monitor->volume_name, '@')
				  ? "a snapshot is scrubbed together with its volume"
				  : "it is open for reading only (storageos check verifies it)");
		return NULL;
	}
	if (!running) {
		g_clear_pointer(&monitor->scrub, scrub_free);
		monitor->scrub = scrub_start(monitor->volume, 0, rate, error);
		if (!monitor->scrub)
			return NULL;
	}
	data = scrub_to_json(monitor->scrub);
	json_add_flag(data, "started", !running);
	return data;
}

static Json *command_scrub_stop(Monitor *monitor, GError **error)
{
	if (!is_scrubbing(monitor)) {
		error_set(error, STORAGEOS_ERROR_INVALID, "it is not being scrubbed");
		return NULL;
	}
	scrub_stop(monitor->scrub);
	scrub_wait(monitor->scrub, SCRUB_STOP_MILLISECONDS);
	return scrub_to_json(monitor->scrub);
}

static Json *command_scrub(Monitor *monitor, Json *request, GError **error)
{
	const char *action = json_get_text(request, "action");

	if (!g_strcmp0(action, "start"))
		return command_scrub_start(monitor, request, error);
	if (!g_strcmp0(action, "stop"))
		return command_scrub_stop(monitor, error);
	if (!g_strcmp0(action, "status"))
		return monitor->scrub ? scrub_to_json(monitor->scrub) : json_object_new_object();
	error_set(error, STORAGEOS_ERROR_INVALID, "`action` must be start, stop or status");
	return NULL;
}

/* A smaller or invalid size is refused. */
static Json *command_resize(Monitor *monitor, Json *request, GError **error)
{
	guint64 before = volume_size(monitor->volume);
	guint64 size = (guint64)max_i64(json_get_number(request, "size"), 0);
	g_autoptr(GError) problem = NULL;
	gboolean done = volume_resize(monitor->volume, size, 0, RESIZE_SECONDS, &problem);
	Json *data;

	if (!done &&
	    (size < before || !g_error_matches(problem, STORAGEOS_ERROR, STORAGEOS_ERROR_BUSY))) {
		g_propagate_error(error, g_steal_pointer(&problem));
		return NULL;
	}
	if (done && size != before)
		log_info("volume %s: resized to %" G_GUINT64_FORMAT
			 " bytes from %" G_GUINT64_FORMAT,
			 monitor->volume_name, size, before);
	data = json_object_new_object();
	json_add_number(data, "before", before);
	json_add_number(data, "size", volume_size(monitor->volume));
	json_add_text(data, "frontend", monitor->frontend);
	json_add_flag(data, "done", done);
	return data;
}

/* What is changed is logged; a client sees the rest. */
static Json *command_snapshot(Monitor *monitor, const char *command, Json *request, GError **error)
{
	Json *answer =
		snapshot_command(monitor->volume, monitor->run_directory, command, request, error);
	const char *name = json_get_text(request, "name");

	if (answer && name)
		log_info("volume %s: %s '%s'", monitor->volume_name, command, name);
	return answer;
}

static void limits_apply(Monitor *monitor)
{
	g_autoptr(GError) error = NULL;
	Properties properties;
	Limits limits;

	if (!monitor->more.limiter)
		return;
	volume_get_properties(monitor->volume, &properties);
	limits_from_properties(&properties, &limits);
	if (!limiter_set(monitor->more.limiter, &limits, &error))
		log_error("volume %s: cannot limit its requests: %s", monitor->volume_name,
			  error ? error->message : "failed");
}

static Json *command_set(Monitor *monitor, Json *request, GError **error)
{
	Json *answer = property_command(monitor->volume, request, NULL, error);
	Json *changes = json_get_object(request, "properties");

	limits_apply(monitor); /* also of a change that is not durable yet */
	if (json_get_object(answer, "properties") && json_object_object_length(changes))
		log_info("volume %s: set %s", monitor->volume_name,
			 json_object_to_json_string_ext(changes, JSON_C_TO_STRING_PLAIN));
	return answer;
}

static Json *command_handle(gpointer data, const char *command, Json *request, GError **error)
{
	Monitor *monitor = data;
	g_autofree char *shown = NULL;

	if (!strcmp(command, "stats"))
		return command_stats(monitor);
	if (!strcmp(command, "scrub"))
		return command_scrub(monitor, request, error);
	if (!strcmp(command, "resize"))
		return command_resize(monitor, request, error);
	if (!strcmp(command, PROPERTY_COMMAND))
		return command_set(monitor, request, error);
	if (snapshot_command_is(command))
		return command_snapshot(monitor, command, request, error);
	shown = text_excerpt(command, 40);
	error_set(error, STORAGEOS_ERROR_UNSUPPORTED, "no command '%s'", shown);
	return NULL;
}

Monitor *monitor_new(const Config *config, const VolumeName *name, const char *frontend,
		     Volume *volume, const Metrics *metrics, const MonitorMore *more)
{
	Monitor *monitor = g_new0(Monitor, 1);
	g_autofree char *socket = control_name(name);
	g_autoptr(GError) error = NULL;

	monitor->volume_name = volume_name_format(name);
	monitor->run_directory = g_strdup(config->run_directory);
	monitor->frontend = frontend;
	monitor->volume = volume;
	monitor->metrics = metrics;
	if (more)
		monitor->more = *more;
	monitor->begun = g_get_monotonic_time();
	limits_apply(monitor);
	monitor->control = control_new(config, socket, command_handle, monitor, &error);
	if (monitor->control)
		return monitor;
	log_warning("volume %s: it cannot be watched: %s", monitor->volume_name,
		    error ? error->message : "failed");
	monitor_free(monitor);
	return NULL;
}

void monitor_follow_properties(Monitor *monitor)
{
	if (monitor)
		limits_apply(monitor);
}

void monitor_free(Monitor *monitor)
{
	if (!monitor)
		return;
	control_free(monitor->control);
	scrub_free(monitor->scrub);
	g_free(monitor->volume_name);
	g_free(monitor->run_directory);
	g_free(monitor);
}
