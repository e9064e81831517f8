# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Functions that make-deb and make-rpm share: arguments, the committed source, the output.
set -eu
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
program=${0##*/}

die() { echo "$program: $*" >&2; exit 1; }

# Sets: output, check, install.
# shellcheck disable=SC2034 # some are used only by the callers
take_arguments() {
	output=build-packages check=no install=yes
	while [ $# -gt 0 ]; do
		case $1 in
		--output)
			[ $# -gt 1 ] || die "$1 needs a directory"
			output=$2
			shift
			;;
		--check) check=yes ;;
		--no-install) install=no ;;
		--help)
			sed -n '3,/^$/s/^# \?//p' "$0"
			exit 0
			;;
		*) die "unknown argument $1; see --help" ;;
		esac
		shift
	done
	mkdir -p "$output" && output=$(realpath "$output")
}

# Sets: work, a new directory that is removed at exit.
make_work_directory() {
	work=$(mktemp -d "${TMPDIR:-/var/tmp}/storageos-package.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	trap 'exit 143' INT TERM HUP
}

# Sets: work, like make_work_directory, but always to the same path, since rpm writes the path into
# the packages.  A second build waits for the first one to end, at most an hour.
make_fixed_work_directory() {
	work=/var/tmp/storageos-package
	until [ "$(stat -c %i "$work" 2>/dev/null)" = "$(stat -Lc %i /dev/fd/9 2>/dev/null)" ] && [ -e "$work" ]; do
		mkdir -m 700 "$work" 2>/dev/null || { [ -O "$work" ] && [ -d "$work" ] && [ ! -L "$work" ]; } ||
			die "$work belongs to another user"
		exec 9<"$work" || continue
		flock -w 3600 9 || die "another build has used $work for an hour"
	done
	find "$work" -mindepth 1 -delete # left by a build that was killed
	trap 'rm -rf "$work"' EXIT
	trap 'exit 143' INT TERM HUP
}

# Runs a command, and shows its output only if it fails.
quietly() {
	"$@" >"$work/log" 2>&1 </dev/null || {
		cat "$work/log" >&2
		die "failed: $*"
	}
}

install_needed() { # PACKAGE...
	local missing
	mapfile -t missing < <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null |
		sed -n 's/^installed //p' | sort | comm -13 - <(printf '%s\n' "$@" | sort))
	[ ${#missing[@]} -gt 0 ] || return 0
	[ "$install" = yes ] || die "not installed: ${missing[*]}"
	quietly apt-get -q -o DPkg::Lock::Timeout=300 update
	quietly apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends "${missing[@]}"
}

# Unpacks the committed source and sets SOURCE_DATE_EPOCH to the time of the commit.  Without a
# repository (in an unpacked release), copies the tree and takes the time from its changelog.
unpack_source() { # DIRECTORY
	mkdir -p "$1"
	if git -C "$root" rev-parse --verify -q HEAD >/dev/null 2>&1; then
		git -C "$root" diff --quiet HEAD -- || echo "$program: changes that are not committed are left out" >&2
		SOURCE_DATE_EPOCH=$(git -C "$root" log -1 --format=%ct)
		git -C "$root" -c tar.umask=0022 archive HEAD | tar -x -C "$1"
	else
		SOURCE_DATE_EPOCH=$(date +%s -d "$(sed -n '/^ -- /{s/.*>  //p;q}' "$root/packaging/debian/changelog")")
		tar -c -C "$root" --exclude='./build*' . | tar -x -C "$1"
	fi
	export SOURCE_DATE_EPOCH
}

publish() { # FILE...
	local file
	for file; do
		mv "$file" "$output/"
		echo "$output/${file##*/}"
	done
}
