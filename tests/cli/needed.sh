#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Which libraries each program loads.  The plugin is loaded into other people's tcmu-runner and the
# FUSE server stands below a mounted disk: both get by with GLib and json-c, and what the command line
# uses besides (libmount, libkmod, libblkid, GIO) stays out of them.
. "$(dirname "$0")/../lib.sh"
need readelf binutils
need_built "$STORAGEOS" "$STORAGEOS_FUSE" "$STORAGEOS_PLUGIN"

# The libraries that FILE asks for by itself, other than those of the C library and the compiler.
needed() {
	readelf -dW "$1" | sed -n 's/.*(NEEDED).*\[lib\([^]]*\)\.so.*/\1/p' |
		grep -vxE 'c|m|dl|rt|pthread|gcc_s|[alut]b?san|clang_rt\..*' | sort | xargs
}

is "the plugin" "$(needed "$STORAGEOS_PLUGIN")" "glib-2.0 json-c"
is "storageos-fuse" "$(needed "$STORAGEOS_FUSE")" "fuse3 glib-2.0 json-c"
is "storageos" "$(needed "$STORAGEOS")" "blkid gio-2.0 glib-2.0 gobject-2.0 json-c mount"
finish
