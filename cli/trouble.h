/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known to be wrong with a volume's data, without reading it: for those verbs that are
 * asked every day.
 */
#pragma once

#include "cli/attachment.h"

/* "2 checksum errors since it is served (see: storageos scrub db --status)"; NULL: nothing is
 * known. Free the result. */
char *trouble_find(const Attachment *attachment, const char *volume);
