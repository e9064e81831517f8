/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Known damage to a volume's data, found without reading the data, for the verbs of daily use.
 */
#pragma once

#include "cli/attachment.h"

/* "2 checksum errors since it was opened (see: storageos scrub db --status)", or NULL.  Free the
 * result. */
char *trouble_find(const Attachment *attachment, const char *volume);
