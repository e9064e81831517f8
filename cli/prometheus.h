/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prometheus's text format, version 0.0.4.  Names and units follow
 * https://prometheus.io/docs/practices/naming/: seconds, bytes, _total for counters.  The format
 * requires all samples of a metric to be printed together.
 */
#pragma once

#include <glib.h>
#include <stdio.h>

/* The lines before the samples of storageos_NAME. */
void prometheus_print_head(FILE *out, const char *name, const char *type, const char *help);

/* The text as a label's value, without the quotes.  A volume's name needs no escaping, but a block
 * device's path may.  Free the result. */
char *prometheus_escape(const char *text);
