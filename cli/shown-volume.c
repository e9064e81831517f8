/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/shown-volume.h"

#include "cli/loop-device.h"
#include "cli/places.h"
#include "cli/target-configfs.h"

VolumeName *shown_volume(const Config *config, const char *disk)
{
	g_autofree char *text = target_volume_of_disk(disk);
	g_autofree char *file = text ? NULL : loop_device_file(disk);

	if (text)
		return volume_name_parse_any(text, NULL);
	return file ? places_volume_of_file(config, file) : NULL;
}
