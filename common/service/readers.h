/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lock between those who read a snapshot and those who delete it.
 *
 *     RUN_DIRECTORY/snapshots/UUID.GENERATION
 *
 * Whoever has a snapshot open holds the lock shared; whoever deletes it holds the lock exclusively
 * until the deletion is durable.  The lock ends with the process that holds it, however that ends.
 * UUID is the volume's, GENERATION the snapshot's, which no other snapshot ever has.
 *
 * Threading: any.  The lock works within a process, too.
 */
#pragma once

#include "common/engine/codec.h"

/* Both return a descriptor: closing it drops the lock.  -1 with BUSY: the snapshot is being
 * deleted; it is being read (the message says by whom).  -1 with IO: the run directory cannot be
 * written. */
int readers_join(const char *run_directory, const char uuid[UUID_TEXT], guint64 generation,
		 GError **error);
int readers_exclude(const char *run_directory, const char uuid[UUID_TEXT], guint64 generation,
		    GError **error);

/* FALSE with BUSY if somebody reads a snapshot of that volume, or deletes one: the volume must not
 * be deleted, nor get another UUID. */
gboolean readers_check_none(const char *run_directory, const char uuid[UUID_TEXT], GError **error);

/* Removes the lock's file, of a snapshot that is deleted.  The caller holds it exclusively. */
void readers_forget(const char *run_directory, const char uuid[UUID_TEXT], guint64 generation);
