/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves I5 of a closed volume with snapshots: walks every root by the rules of
 * docs/disk-format.md, "Who has a slot", which it knows in a form of its own, and compares the
 * slots that it meets with the bitmaps and with the superblock's counts.
 */
#pragma once

#include "common/backing/backing.h"

/* The value of a block of a root; -1: it cannot be read.  `generation`: of a snapshot; 0: the
 * head. */
typedef void (*ProofVisit)(guint64 generation, guint64 block, guint8 first_byte, gpointer data);

/* Checks that all is as it must be; reports what is not as failed checks.  `visit`, which may be
 * NULL, is called for every mapped block of the head and of each snapshot that is alive, after
 * its checksum was verified. */
gboolean snapshots_prove(Backing *backing, ProofVisit visit, gpointer data);
