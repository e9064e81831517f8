/* SPDX-License-Identifier: Apache-2.0 */
#include "common/service/scrub-json.h"

#include "common/base/units.h"

static Json *lost_to_json(const GArray *lost)
{
	Json *list = json_object_new_array();

	for (guint i = 0; i < lost->len; i++) {
		const ScrubRange *range = &g_array_index(lost, ScrubRange, i);
		Json *object = json_object_new_object();

		json_add_number(object, "offset", blocks_to_bytes(range->first));
		json_add_number(object, "length", blocks_to_bytes(range->end - range->first));
		json_object_array_add(list, object);
	}
	return list;
}

Json *scrub_to_json(Scrub *scrub)
{
	g_autoptr(GArray) lost = scrub_get_lost(scrub);
	Json *object = json_object_new_object();
	ScrubStatus status;

	scrub_get_status(scrub, &status);
	json_add_flag(object, "running", status.running);
	json_add_flag(object, "complete", status.complete);
	json_add_number(object, "rate", status.rate);
	json_add_number(object, "begun", (guint64)status.begun);
	json_add_number(object, "ended", (guint64)status.ended);
	json_object_object_add(object, "fraction", json_object_new_double(status.fraction));
	json_add_number(object, "blocks", status.blocks);
	json_add_number(object, "base_blocks", status.base_blocks);
	json_add_number(object, "copies", status.copies);
	json_add_number(object, "errors", status.errors);
	json_add_number(object, "repaired", status.repaired);
	if (status.problem)
		json_add_text(object, "problem", g_strerror(-status.problem));
	json_object_object_add(object, "lost", lost_to_json(lost));
	return object;
}
