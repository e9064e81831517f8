/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims to volumes' identities.  Whoever serves a volume holds the claim to its UUID, so that of a
 * volume and its copies (`cp a.vol b.vol`) one at most is served on a machine, whoever asks: two
 * disks of one serial number are one disk to multipath, udev and initiators.
 *
 *     RUN_DIRECTORY/identity/UUID    locked by its holder; says which volume that serves, and how
 *
 * A claim ends with the process that holds it, however that ends.  The directory is its owner's
 * alone, so that nobody else can hold one up.  Programs whose configurations have different run
 * directories do not know of each other's claims.
 *
 * Threading: any.  Within a process, too, a claim is held once.
 */
#pragma once

#include "common/engine/codec.h"
#include "common/service/config.h"

typedef struct Claim Claim;

/* Takes the claim of the volume `volume` ("POOL/NAME"), which is served `as` that ("the backstore
 * db1"; NULL: nothing to be said).  NULL with BUSY where somebody holds it, and who, is the
 * message; IO where the run directory cannot be written.  Waits a moment for a holder that was just
 * killed. */
Claim *claim_take(const Config *config, const char uuid[UUID_TEXT], const char *volume,
		  const char *as, GError **error);

/* NULL is allowed. */
void claim_release(Claim *claim);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Claim, claim_release)

/* Who holds it: "default/a, which process 12 (tcmu-runner) serves as the backstore db1".  NULL:
 * nobody.  Free the result. */
char *claim_holder(const Config *config, const char uuid[UUID_TEXT]);

/* BUSY, as claim_take() has it, where another volume than `volume` holds it. */
gboolean claim_check(const Config *config, const char uuid[UUID_TEXT], const char *volume,
		     GError **error);

/* "the backstore db1", for what the holder of the claim serves the volume as; NULL: nobody holds
 * it, or nothing was said.  Free the result. */
char *claim_holder_as(const Config *config, const char uuid[UUID_TEXT]);
