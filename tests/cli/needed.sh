#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The libraries that each program loads.  The plugin is loaded into a tcmu-runner that belongs to others,
# and the FUSE server runs below a mounted disk: both need only GLib and json-c.  The other libraries
# of the command line (libmount, libkmod, libblkid, GIO) must not get into them.
. "$(dirname "$0")/../lib.sh"
need readelf binutils
need_built "$STORAGEOS" "$STORAGEOS_FUSE" "$STORAGEOS_PLUGIN"

# Prints the libraries that FILE itself needs, except those of the C library and the compiler.
needed() {
	readelf -dW "$1" | sed -n 's/.*(NEEDED).*\[lib\([^]]*\)\.so.*/\1/p' |
		grep -vxE 'c|m|dl|rt|pthread|gcc_s|[alut]b?san|clang_rt\..*' | sort | xargs
}

is "the plugin" "$(needed "$STORAGEOS_PLUGIN")" "glib-2.0 json-c"
is "storageos-fuse" "$(needed "$STORAGEOS_FUSE")" "fuse3 glib-2.0 json-c"
is "storageos" "$(needed "$STORAGEOS")" "blkid gio-2.0 glib-2.0 gobject-2.0 json-c mount"
finish
