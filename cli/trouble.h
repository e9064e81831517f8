/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What keeps a volume from being used without a second thought, found without reading its data, for
 * the verbs of daily use: known damage, another machine that may have it.
 */
#pragma once

#include "cli/attachment.h"

/* "2 checksum errors since it was opened (see: storageos scrub db --status)", or NULL.  Free the
 * result. */
char *trouble_find(const Attachment *attachment, const char *volume);
