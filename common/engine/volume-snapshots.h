/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots of an open volume.  With volume.h, all that the front ends need of the engine.
 *
 * A snapshot is the content of the volume at one instant.  It never changes, costs nothing until
 * blocks are overwritten, and may be as many as 4096 (bookmarks and holds count, too).
 *
 * Promises:
 *   - A snapshot whose volume_snapshot_wait() returned TRUE is durable (I1), with exactly the
 * content of one instant between the call of volume_snapshot_begin() and its return: every write
 * that was acknowledged before the call is in it, and none that began after the return (I3).
 *   - A deletion that returned TRUE is never undone by a crash.
 *   - A read of a snapshot returns what the volume held, or an error (I4).
 *
 * While a snapshot keeps what is overwritten, a full disk refuses writes (-ENOSPC) until a snapshot
 * is deleted and its blocks are free; the volume does not fail.  A discard of what a snapshot still
 * has may need new nodes, and then fails in the same way.  To delete always works.
 *
 * Threading: any thread, any number at once.  A call may wait for a running checkpoint;
 * volume_snapshot_begin() only until that is written, not for the disk.
 *
 * Errors: those named, and of all calls that change something UNSUPPORTED (opened read-only), IO
 * (the volume has FAILED), NO_SPACE (no space for the table, or it is full; nothing was changed).
 * Where the disk is full or fails only when a change is made durable, the change stays, and the
 * message says so: the next checkpoint that succeeds makes it durable, and until then a crash may
 * take it back.  Messages name the volume and say what to do.
 */
#pragma once

#include "common/engine/volume.h"

#define VOLUME_SNAPSHOT_NAME_MAX 63 /* names and tags are as volumes' names (names.h) */

typedef enum {
	VOLUME_SNAPSHOT_ALIVE,
	VOLUME_SNAPSHOT_DELETING,  /* its name is free; its space becomes free in the background */
	VOLUME_SNAPSHOT_BOOKMARK,  /* only its place in the lineage is kept, to begin a stream from
				    */
	VOLUME_SNAPSHOT_RECEIVING, /* a stream is being received into the volume */
} VolumeSnapshotState;

typedef struct {
	char name[VOLUME_SNAPSHOT_NAME_MAX + 1];
	char uuid[37], parent_uuid[37]; /* lower case, with dashes; no parent: empty */
	guint64 generation, parent;	/* 0: no parent */
	gint64 created;			/* Unix time, seconds */
	guint64 size;			/* of the volume at that time, bytes */
	guint64 referenced_bytes;	/* of data that it has, shared or not; of a bookmark 0 */
	gboolean referenced_is_bound;	/* it has at most that much */
	guint64 written_bytes; /* written since its parent; exact once nothing is being freed */
	VolumeSnapshotState state;
	gboolean frozen;    /* file systems on the volume were frozen */
	gboolean by_policy; /* a schedule made it, and may delete it */
	gboolean waiting;   /* deleting, and a branch point: waits until one branch is gone */
	guint64 group;	    /* the same for snapshots taken together; 0: none */
	guint holds;
} VolumeSnapshotInfo;

typedef struct {
	const char *name;
	const guint8 *uuid; /* 16 bytes; NULL: random */
	gint64 created;	    /* Unix time, seconds; 0: now */
	guint64 group;
	gboolean frozen, by_policy;
} VolumeSnapshotParameters;

/* Takes a snapshot.  Returns at the instant: what is written from now on is not in it.  It is not
 * durable yet, but with the second checkpoint from now at the latest.  The caller must call
 * volume_snapshot_wait() with *ret_generation.  INVALID (the name), EXISTS (the name or UUID is
 * taken), BUSY (no checkpoint could begin for 25 s; nothing happened). */
gboolean volume_snapshot_begin(Volume *volume, const VolumeSnapshotParameters *parameters,
			       guint64 *ret_generation, GError **error);

/* Waits until the snapshot is durable, `seconds` at most.  BUSY: it takes longer, and goes on; may
 * be called again.  NO_SPACE: the disk is full: there will be no such snapshot.  NOT_FOUND: there
 * is none. */
gboolean volume_snapshot_wait(Volume *volume, guint64 generation, guint seconds, GError **error);

typedef enum {
	/* A bookmark stays: a stream can still begin at this snapshot. */
	VOLUME_SNAPSHOT_DELETE_BOOKMARK = 1 << 0,
} VolumeSnapshotDeleteFlags;

/* Deletes a snapshot or a bookmark.  Durable when it returns TRUE; its space becomes free in the
 * background (volume_settle() waits for that), after a crash, too.  Works on a full disk.  Nobody
 * may have the snapshot open: the caller holds its readers' lock.  NOT_FOUND, BUSY (it is held; the
 * message says by whom). */
gboolean volume_snapshot_delete(Volume *volume, const char *name, VolumeSnapshotDeleteFlags flags,
				GError **error);

/* The same of the snapshot with that generation, whatever its name is by now; `name` is for
 * messages. */
gboolean volume_snapshot_delete_exactly(Volume *volume, guint64 generation, const char *name,
					VolumeSnapshotDeleteFlags flags, GError **error);

/* Durable when it returns TRUE.  NOT_FOUND, INVALID, EXISTS. */
gboolean volume_snapshot_rename(Volume *volume, const char *name, const char *to, GError **error);

/* A hold keeps a snapshot from being deleted, until it is released.  `tag` says who holds it.  Both
 * are durable when they return TRUE.  NOT_FOUND (the snapshot, or the tag), INVALID (the tag),
 * EXISTS (that tag holds it already). */
gboolean volume_snapshot_hold(Volume *volume, const char *name, const char *tag, GError **error);
gboolean volume_snapshot_release(Volume *volume, const char *name, const char *tag, GError **error);

/* All snapshots and bookmarks: an array of VolumeSnapshotInfo, the oldest first; those that are
 * being deleted included.  Works on a volume that is FAILED or opened read-only, too.  Free with
 * g_array_unref(). */
GArray *volume_snapshots(Volume *volume);

/* The tags that hold a snapshot: an array of char *, which is free with g_ptr_array_unref(). */
GPtrArray *volume_snapshot_tags(Volume *volume, guint64 generation);

/* Several volumes at one instant: the caller closes the gates of all, begins a snapshot of each,
 * and opens the gates.  No snapshot then has a write that began after one was acknowledged which
 * the snapshot of another volume lacks.
 *
 * While the gate is closed, changes wait before they begin; reads and flushes go on.  The gate
 * opens by itself after VOLUME_GATE_SECONDS.  Neither call waits.
 *
 * volume_gate_close() returns a ticket, or 0: the gate is closed already.  volume_gate_open() is
 * FALSE if the gate has not been closed from the call that returned this ticket until now: then the
 * snapshots are not of one instant. */
#define VOLUME_GATE_SECONDS 5
guint64 volume_gate_close(Volume *volume);
gboolean volume_gate_open(Volume *volume, guint64 ticket);

typedef enum {
	/* What the volume holds now is given up.  Otherwise a snapshot of it is left, to undo. */
	VOLUME_ROLLBACK_DISCARD = 1 << 0,
	/* The volume may get another size: the snapshot's. */
	VOLUME_ROLLBACK_SIZE_TOO = 1 << 1,
} VolumeRollbackFlags;

/* Makes the volume what it was when the snapshot was taken.  No other call may be running: nobody
 * may have the volume attached.  Durable when it returns TRUE; after a crash the volume is as
 * before or as the snapshot.  Newer snapshots stay.  Unless DISCARD, what the volume held becomes
 * the snapshot `before-rollback-TIME`, whose name is in *ret_undo (free it; may be NULL): a
 * rollback to that undoes this one.  NOT_FOUND, INVALID (the size differs, without SIZE_TOO),
 * NO_SPACE.  Whether it has gone back all the same, and not durably yet, the message says. */
gboolean volume_rollback(Volume *volume, const char *name, VolumeRollbackFlags flags,
			 char **ret_undo, GError **error);

/* ---- Opening a snapshot
 *
 * Whoever wants to read a snapshot opens it from the volume's backing, in any process of this
 * machine, and needs nobody who has the volume open.  The result is a volume of its own: read-only,
 * with the snapshot's size, UUID and name.  volume_read(), volume_extent(), volume_get_info() and
 * volume_close() are as for any volume; what would change it fails with -EROFS, and volume_flush()
 * does nothing.  volume_snapshots() of it is empty. */

/* Keeps snapshot `generation` of the volume with that UUID from being deleted until the snapshot is
 * closed, in the way that this machine has agreed on.  FALSE with an error: it cannot be opened. */
typedef gboolean (*VolumeSnapshotJoin)(const char *uuid, guint64 generation, gpointer data,
				       GError **error);

/* Opens the snapshot called `snapshot`.  Takes no lock on the backing, and reads neither bitmaps
 * nor journal: it takes as long for a small volume as for a large one.  Takes ownership of the
 * backing, also if it fails.  `name` is for messages and log lines.
 *
 * `join` is called once the snapshot is found; whether it was deleted meanwhile is looked at
 * afterwards.  NULL: the caller knows that nobody will delete the snapshot.
 *
 * Errors: NOT_FOUND, INVALID (a bookmark, which has no content), CORRUPT, UNSUPPORTED (a newer
 * format), IO, those of `join`. */
Volume *volume_open_snapshot(Backing *backing, const char *name, const char *snapshot,
			     VolumeSnapshotJoin join, gpointer data, GError **error);
