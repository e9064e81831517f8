#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Arguments that are not ASCII, or not text at all, in every locale: paths of any bytes work, names are
# refused with a printable form of the bytes, and JSON stays valid.
. "$(dirname "$0")/../lib.sh"
need jq jq
need python3 python3
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
own_config

is_utf8() { iconv -f UTF-8 -t UTF-8 <<<"$1" >/dev/null 2>&1; }
# Values of LC_ALL.  A locale that is not installed is a case of its own.
locales=(C C.UTF-8 POSIX de_DE.ISO-8859-1 ja_JP.eucJP none)

# ---- names: refused, in one line of UTF-8

while IFS=$'\t' read -r argument shown; do
	argument=$(printf '%b' "$argument")
	for locale in "${locales[@]}"; do
		for verb in info create delete attach; do
			extra=()
			[ $verb != create ] || extra=(--size 1G)
			said=$(LC_ALL=$locale "$STORAGEOS" $verb "$argument" "${extra[@]}" 2>&1)
			is "$verb $shown in $locale" "$? $(wc -l <<<"$said") ${said%%: must be*}" \
				"2 1 storageos: $verb: invalid volume name '$shown'"
			check "$verb $shown in $locale: UTF-8" is_utf8 "$said"
		done
	done
done <<-'END'
	gr\xc3\xbcn	grün
	gr\xfcn	gr\xfcn
	d\x1b[31mb	d\x1b[31mb
	default/\xe6\x97	default/\xe6\x97
END
said=$("$STORAGEOS_FUSE" $'gr\xfcn' "$WORK" 2>&1)
is "storageos-fuse: status" $? 1
is "storageos-fuse: names it" "${said%%:*}: $(grep -o "name 'gr.*': must" <<<"$said")" "storageos-fuse: name 'gr\xfcn': must"
refuses "a verb" "unknown verb 'l.x9[bc]ste'" "$STORAGEOS" $'l\x9cste'
refuses "an option" "unknown option '--gr.xfcn'" "$STORAGEOS" $'--gr\xfcn'
refuses "a verb's option" 'Unknown option --gr.xfcn' "$STORAGEOS" list $'--gr\xfcn'
refuses "a size" "invalid volume size '1.xe2G'" "$STORAGEOS" create db --size $'1\xe2G'
refuses "a front end" "unknown front end '.x80'" "$STORAGEOS" attach db --frontend $'\x80'

# ---- paths: accepted unchanged

works_at() { # WHAT DIRECTORY SHOWN: a configuration, a pool and a root in DIRECTORY
	local what=$1 directory=$2 shown=$3 locale
	mkdir -p "$directory/pool" "$directory/root"
	for locale in C C.UTF-8; do
		export LC_ALL=$locale
		rm -rf "$directory"/pool "$directory"/conf
		sed '/^\[pool/,$d' "$STORAGEOS_CONFIG" >"$directory/conf"
		check "$what, $locale: pool create" "$STORAGEOS" --config "$directory/conf" pool create odd "$directory/pool"
		check "$what, $locale: create" "$STORAGEOS" create odd/db --size 64M --config "$directory/conf"
		check "$what, $locale: the file is there" test -s "$directory/pool/db.vol"
		is "$what, $locale: list" "$("$STORAGEOS" list odd --config "$directory/conf" | grep -o '^odd/db')" odd/db
		is "$what, $locale: info --json" \
			"$("$STORAGEOS" info odd/db --json --config "$directory/conf" | jq -r .path)" "$shown/pool/db.vol"
		is "$what, $locale: pool list --json" \
			"$("$STORAGEOS" pool list --json --config "$directory/conf" |
				jq -r '.[] | select(.pool == "odd") | "\(.directory) \(.ready)"')" "$shown/pool true"
		said=$("$STORAGEOS" probe --root "$directory/root/none" 2>&1)
		is "$what, $locale: probe --root names it" "$(grep -cF "$shown/root/none" <<<"$said")" 1
		check "$what, $locale: in UTF-8" is_utf8 "$said"
	done
	export LC_ALL=C
}
works_at "a path in UTF-8" "$WORK/größe/日本" "$WORK/größe/日本"
works_at "a path in bytes" "$WORK/"$'gr\xf6\xdfe' "$WORK/"'gr\xf6\xdfe'

# A block device with such a name.
if [ "$(id -u)" = 0 ] && [ -c /dev/loop-control ]; then
	truncate -s 256M "$WORK/disk"
	loop_attach "$WORK/disk" || give_up "no loop device"
	for name in gerät $'ger\xe4t'; do
		ln -s "$LOOP" "$WORK/$name"
		shown=${name/$'\xe4t'/'\xe4t'}
		[ "$name" != gerät ] || shown=gerät
		check "a device at $shown: create" "$STORAGEOS" create "$WORK/$name" --size 64M --force
		is "a device at $shown: info --json" "$("$STORAGEOS" info "$WORK/$name" --json | jq -r .path)" "$WORK/$shown"
		check "a device at $shown: check" "$STORAGEOS" check "$WORK/$name"
	done
else
	skip "a device" "needs root and loop devices"
fi
finish
