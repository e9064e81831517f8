/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims to the identities of volumes.  Whoever serves a volume holds the claim to its UUID, so
 * that of a volume and its copies (`cp a.vol b.vol`) at most one is served on a machine, by any
 * program: multipath, udev and initiators take two disks with one serial number for one disk.
 *
 *     RUN_DIRECTORY/identity/UUID    locked by its holder; says which volume it serves, and as what
 *
 * A claim ends with the process that holds it, however that ends.  The directory is accessible to
 * its owner alone, so nobody else can block a claim.  Programs whose configurations name different
 * run directories do not see each other's claims.
 *
 * Threading: any.  A claim is exclusive within a process, too.
 */
#pragma once

#include "common/engine/codec.h"
#include "common/service/config.h"

typedef struct Claim Claim;

/* Takes the claim to `uuid` for `volume` ("POOL/NAME"), which is served as `as` ("the backstore
 * db1"; may be NULL).  NULL with BUSY if it is held; the message says by whom.  NULL with IO if the
 * run directory cannot be written.  Waits up to 0.3 s for a holder that was just killed. */
Claim *claim_take(const Config *config, const char uuid[UUID_TEXT], const char *volume,
		  const char *as, GError **error);

/* NULL is allowed. */
void claim_release(Claim *claim);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Claim, claim_release)

/* The holder: "default/a, which process 12 (tcmu-runner) serves as the backstore db1".  NULL if
 * nobody holds the claim.  Free the result. */
char *claim_holder(const Config *config, const char uuid[UUID_TEXT]);

/* FALSE with BUSY, as in claim_take(), if the claim is held for a volume other than `volume`. */
gboolean claim_check(const Config *config, const char uuid[UUID_TEXT], const char *volume,
		     GError **error);

/* The file that the holder has locked, whether there is one or not.  Free the result. */
char *claim_path(const Config *config, const char uuid[UUID_TEXT]);

/* What the holder serves the volume as ("the backstore db1").  NULL if nobody holds the claim or
 * the holder did not say.  Free the result. */
char *claim_holder_as(const Config *config, const char uuid[UUID_TEXT]);
