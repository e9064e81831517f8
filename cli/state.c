/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/state.h"

#include <string.h>

#include "common/base/files.h"
#include "common/base/json.h"

#define STATE_SIZE_MAX 65536

/* Device sequence numbers and process numbers are valid only within one boot. */
static char *boot_id_read(void)
{
	return files_get_attribute("/proc/sys/kernel/random", "boot_id");
}

gboolean state_write(const Places *places, const State *state, GError **error)
{
	g_autoptr(Json) json = json_object_new_object();
	g_autofree char *boot = boot_id_read();
	g_autofree char *text = NULL;

	json_add_text(json, "volume", places->text);
	json_add_text(json, "frontend", frontend_name(state->frontend));
	json_add_text(json, "reason", state->reason);
	json_add_text(json, "device", state->device);
	if (state->sequence)
		json_add_number(json, "sequence", state->sequence);
	json_add_text(json, "boot", boot);
	json_add_text(json, "uuid", state->uuid);
	json_add_number(json, "pid", (guint64)state->pid);
	json_add_number(json, "start_time", (guint64)state->start_time);
	if (state->frontend == FRONTEND_TCMU) {
		json_add_text(json, "backstore", places->key);
		json_add_text(json, "target", places->target_name);
	} else {
		json_add_text(json, "mount", places->mount);
	}
	text = json_to_text(json);
	return files_write(places->state_file, text, strlen(text), 0644, FILES_REPLACE, error);
}

static gboolean state_is_of_another_boot(Json *json)
{
	const char *written = json_get_text(json, "boot");
	g_autofree char *boot = boot_id_read();

	return written && boot && strcmp(written, boot);
}

State *state_read(const Places *places)
{
	g_autofree char *text = files_read(places->state_file, STATE_SIZE_MAX, NULL, NULL);
	g_autoptr(Json) json = text ? json_tokener_parse(text) : NULL;
	const char *frontend = json ? json_get_text(json, "frontend") : NULL;
	g_autoptr(State) state = g_new0(State, 1);

	if (!frontend || !frontend_parse(frontend, &state->frontend))
		return NULL;
	state->reason = g_strdup(json_get_text(json, "reason"));
	if (state_is_of_another_boot(json))
		return g_steal_pointer(&state);
	state->sequence = (guint64)json_get_number(json, "sequence");
	state->device = g_strdup(json_get_text(json, "device"));
	state->uuid = g_strdup(json_get_text(json, "uuid"));
	state->pid = json_get_number(json, "pid");
	state->start_time = json_get_number(json, "start_time");
	return g_steal_pointer(&state);
}

void state_free(State *state)
{
	if (!state)
		return;
	g_free(state->reason);
	g_free(state->device);
	g_free(state->uuid);
	g_free(state);
}
