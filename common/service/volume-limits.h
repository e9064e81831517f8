/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A volume's limits (limiter.h) as it keeps them, in its properties:
 *
 *     read_iops, write_iops                   requests a second, decimal
 *     read_bytes, write_bytes                 bytes a second, decimal
 *     read_iops_burst, write_bytes_burst...   how many may go on at once beyond that
 *
 * A limit that is not there is none.
 *
 * Threading: pure functions.
 */
#pragma once

#include "common/engine/properties.h"
#include "common/service/limiter.h"

/* A value that a limiter would not accept counts as none. */
void limits_from_properties(const Properties *properties, Limits *ret_limits);

/* What a person wrote for a limit, or its burst: "1000", "100M", or "none" for the text "", which
 * removes it.  FALSE: it is invalid. */
gboolean limits_parse_iops(const char *text, char ret_value[PROPERTY_VALUE_MAX + 1]);
gboolean limits_parse_bytes(const char *text, char ret_value[PROPERTY_VALUE_MAX + 1]);
gboolean limits_parse_burst(const char *text, char ret_value[PROPERTY_VALUE_MAX + 1]);
