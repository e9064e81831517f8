/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/relocate.h"

#include <string.h>

#include "cli/attachment.h"
#include "cli/interrupt.h"
#include "cli/name-uses.h"
#include "common/base/error.h"
#include "common/base/logging.h"
#include "common/service/pool-move.h"

#define SHOW_EVERY (G_USEC_PER_SEC / 4)

typedef struct {
	const char *verb;
	Places *from, *to;
	gboolean dry;
	gint64 shown;
} Relocating;

static void warnings_say(LoggingLevel level, const char *line)
{
	if (level != LOGGING_INFO)
		cli_say("%s", line);
}

static gboolean copy_show(guint64 done, guint64 all, gpointer data, GError **error)
{
	Relocating *relocating = data;
	gint64 now = g_get_monotonic_time();

	if (now - relocating->shown >= SHOW_EVERY) {
		relocating->shown = now;
		cli_progress("%s %s: %.0f %%", relocating->verb, relocating->from->text,
			     100. * (double)done / (double)MAX(all, 1));
	}
	return interrupt_check(error);
}

/* Always in the same order, so that two commands do not wait for each other. */
static gboolean names_lock(const Relocating *relocating, GError **error)
{
	gboolean first = strcmp(relocating->from->text, relocating->to->text) < 0;

	return places_lock(first ? relocating->from : relocating->to, error) &&
	       places_lock(first ? relocating->to : relocating->from, error);
}

/* A broken attachment holds no lock on the volume, but its device may still be in use; what is left
 * of one must not be found under the old name later. */
static gboolean name_is_free(const Places *places, gboolean dry, GError **error)
{
	g_autoptr(Attachment) attachment = attachment_inspect(places);

	if (!attachment_is_gone(attachment))
		return error_set(error, STORAGEOS_ERROR_BUSY,
				 "%s is in use (%s); it must be detached (storageos detach %s)",
				 places->text,
				 attachment->problem ? attachment->problem : "attached",
				 places->text);
	if (attachment->litter && !dry)
		places_remove(places);
	return TRUE;
}

static gboolean relocate_locked(Relocating *relocating, GError **error)
{
	const Places *from = relocating->from, *to = relocating->to;

	if (!name_is_free(from, relocating->dry, error) ||
	    !name_is_free(to, relocating->dry, error))
		return FALSE;
	return relocating->dry ? pool_volume_may_move(from->config, from->name, to->name, error)
			       : pool_volume_move(from->config, from->name, to->name, copy_show,
						  relocating, error);
}

static void relocate_report(const Cli *cli, const Relocating *relocating, const char *done)
{
	g_autoptr(GPtrArray) uses = name_uses(relocating->from);
	g_autofree char *path = pool_volume_place(cli->config, relocating->to->name);
	Json *object = json_object_new_object(), *named = json_object_new_array();

	for (guint i = 0; i < uses->len; i++) {
		cli_say("%s %s: the old name is%s in: %s", relocating->verb, relocating->from->text,
			relocating->dry ? "" : " still", (char *)g_ptr_array_index(uses, i));
		json_object_array_add(named, json_text_new(g_ptr_array_index(uses, i)));
	}
	json_add_text(object, "volume", relocating->to->text);
	json_add_text(object, "before", relocating->from->text);
	json_add_text(object, "path", path);
	json_object_object_add(object, "named_in", named);
	if (relocating->dry)
		cli_report_dry(cli, object, "%s: would be %s %s", relocating->to->text, done,
			       relocating->from->text);
	else
		cli_report(cli, object, "%s: %s %s", relocating->to->text, done,
			   relocating->from->text);
}

int relocate(const Cli *cli, const Verb *verb, const VolumeName *from, const VolumeName *to,
	     const char *done, gboolean dry)
{
	g_autoptr(Places) old = places_new(cli->config, from), new = places_new(cli->config, to);
	Relocating relocating = {.verb = verb->name, .from = old, .to = new, .dry = dry};
	g_autoptr(GError) error = NULL;
	gboolean moved;

	if (!strcmp(old->text, new->text))
		return cli_usage("%s: '%s' is its name already", verb->name, new->text);
	logging_set_sink(warnings_say);
	moved = names_lock(&relocating, &error);
	interrupt_hold();
	moved = moved && relocate_locked(&relocating, &error);
	cli_progress_end();
	if (moved)
		relocate_report(cli, &relocating, done);
	else
		g_prefix_error(&error, "%s %s: ", verb->name, old->text);
	return moved ? CLI_DONE : cli_failed(error);
}
