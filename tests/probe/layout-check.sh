#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Where tcmu-runner's headers are installed, the build finds out which generation they are of, holds
# our table of its layouts against them, and fails where they differ.  The headers are our own.
. "$(dirname "$0")/../lib.sh"
need meson meson
need ninja ninja-build

include=$WORK/include
project=$WORK/project
mkdir "$include" "$project" || give_up "no directory"
ln -s "$ROOT/handler" "$project/handler"
cat >"$project/meson.build" <<-'END'
	project('check', 'c')
	cc = meson.get_compiler('c')
	top_include = include_directories('.')
	subdir('handler/layout-check')
END

headers() { # GENERATION [SED-SCRIPT]
	local header
	for header in tcmu-runner.h libtcmu.h; do
		{
			echo "#define GENERATION '$1'"
			sed "${2-}" "$ROOT/tests/runner-host/include/$header"
		} >"$include/$header"
	done
}

build() { # NAME
	local build=$WORK/build-$1
	{ [ -d "$build" ] || meson setup "-Dc_args=-I$include" "$build" "$project"; } &&
		ninja -C "$build"
}

for generation in C D E F G; do
	headers $generation
	if output=$(build $generation 2>&1); then
		like "headers of generation $generation are found to be that, and fit" "$output" \
			"is one of generation $generation\$"
	else
		not_ok "headers of generation $generation fit" "$output"
	fi
done

headers G 's/rw_fn read;/rw_fn moved;/; s/rw_fn write;/rw_fn read;/; s/rw_fn moved;/rw_fn write;/'
refuses "what lies elsewhere than we have it is an error, by name" 'layout of.*: read' build G
headers D '/void \*cmdstate;/d'
refuses "so it is for a command" 'layout of.*: done' build D

rm "$include"/*
check "without headers there is nothing to check" build none
finish
