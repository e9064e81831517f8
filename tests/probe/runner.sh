#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `storageos probe` tells tcmu-runner's version and ABI generation from its files alone, for every
# generation, and what of ours it would load.
. "$(dirname "$0")/fixture.sh"

DEB=usr/lib/x86_64-linux-gnu
good() { # NAME
	root "$1" debian 12 "Debian GNU/Linux"
	kernel 6.1.0-50-amd64 --modules "$ALL_TCMU $FUSE"
	software $DEB
}

# A runner and its library that export what those of a generation do, and no more.  Everything else
# that they have is hidden, as in a real one that was not stripped.
fake_runner() { # VERSION "PROGRAM-SYMBOL..." "LIBRARY-SYMBOL..." SONAME
	local symbol build=$WORK/build-$1
	mkdir "$build" || return
	{
		for symbol in $3; do echo "int $symbol(void) { return 1; }"; done
		echo "int tcmulib_initialize(void) { return 0; }"
	} >"$build/library.c"
	{
		echo "int tcmulib_initialize(void);"
		echo "const char *const texts[] = { \"$1\", \"tcmu-runner %s\", \"127.0.0.1\" };"
		for symbol in $2; do echo "int $symbol(void) { return 1; }"; done
		for symbol in tcmur_handle_caw tcmur_cmd_complete tcmu_notify_cmd_timed_out errp; do
			[[ " $2 " == *" $symbol "* ]] ||
				echo "__attribute__((visibility(\"hidden\"), \
				used)) int $symbol(void) { return 2; }"
		done
		echo "int main(void) { return tcmulib_initialize(); }"
	} >"$build/program.c"
	gcc -shared -fPIC -o "$build/$4" -Wl,-soname,"$4" "$build/library.c" &&
		gcc -rdynamic -o "$build/tcmu-runner" "$build/program.c" "$build/$4"
}

# One generation: what probe says of it, and whether TCMU is chosen.
generation() { # NAME VERSION "PROGRAM-SYMBOL..." "LIBRARY-SYMBOL..." SONAME
	check "make a tcmu-runner $2" fake_runner "$2" "$3" "$4" "$5"
	good "runner-$2"
	rm "$R/usr/bin/tcmu-runner" "$R/$DEB/"libtcmu*
	cp "$WORK/build-$2/tcmu-runner" "$R/usr/bin/"
	cp "$WORK/build-$2/$5" "$R/$DEB/"
	probe
	is "it is $2, generation $1" "$(said '.tcmu_runner | "\(.version) \(.generation)"')" "$2 $1"
	if [[ $1 == [C-G] ]]; then
		is "which the plugin serves" "$(said .frontend)" tcmu
	else
		is "which the plugin does not serve" "$(said .frontend)" fuse
		like "it says so" "$(said .reason)" "the plugin is not made for tcmu-runner $2"
		is "and what to do" "$(said .next_step)" "upgrade tcmu-runner to 1.3.0 and later"
	fi
}

register=tcmur_register_handler
old="$register tcmu_notify_conn_lost tcmu_notify_lock_lost"
shims="tcmur_handle_caw tcmur_handle_writesame"
new="$old tcmur_cmd_complete tcmur_dev_get_private tcmur_dev_set_private"
generation A 1.1.3 "dbgp errp $register" "tcmu_emulate_inquiry" libtcmu.so.1
generation B 1.2.0 "$register" "tcmu_err_message" libtcmu.so.1
generation C 1.3.0 "$old $shims" "tcmu_err_message" libtcmu.so.2
generation D 1.4.1 "$old $shims tcmur_dev_update_size" "tcmu_err_message __tcmu_set_sense_data" \
	libtcmu.so.2
generation D 1.4.0-106.gd17d24e "$old $shims" "tcmu_err_message __tcmu_sense_set_data" libtcmu.so.2
generation E 1.5.2 "$new $shims" "tcmu_err_message __tcmu_sense_set_data" libtcmu.so.2
generation F 1.5.3 "$new $shims tcmu_notify_cmd_timed_out" "tcmu_err_message" libtcmu.so.2
generation G 1.6.2 "$new tcmu_notify_cmd_timed_out" "tcmu_dev_set_write_protect_enabled" \
	libtcmu.so.2

# ---- the packaged one

good packaged
probe
is "the packaged tcmu-runner" "$(said '.tcmu_runner | "\(.version) \(.generation) \(.served)"')" \
	"$(dpkg-query -W -f '${Version}' tcmu-runner | sed 's/-.*//') G true"
is "where it looks for plugins is read from it" "$(said .tcmu_runner.plugin_directory)" \
	"/$DEB/tcmu-runner"
is "and ours is there" "$(said .tcmu_runner.plugin)" "/$DEB/tcmu-runner/handler_storageos.so"
is "alone" "$(said '.tcmu_runner.plugin_copies | length'), $(said '.warnings | length')" "0, 0"

# ---- copies

# The runner loads whatever is called handler_*.
for copy in handler_storageos.so.dpkg-new handler_storageos.so.bak handler_storageos-1.so \
	handler_old_storageos.so; do
	touch "$R/$DEB/tcmu-runner/$copy"
done
touch "$R/$DEB/tcmu-runner/handler_rbd.so" "$R/$DEB/tcmu-runner/storageos.bak"
probe
is "second copies are found, and nothing else" \
	"$(said '.tcmu_runner.plugin_copies | map(split("/")[-1]) | join(" ")')" \
	"handler_old_storageos.so handler_storageos-1.so handler_storageos.so.bak handler_storageos.so.dpkg-new"
is "and each is a warning" \
	"$(said '.warnings | map(select(test("^tcmu-runner also loads .*remove it"))) | length')" 4
is "TCMU is chosen all the same" "$(said .frontend)" tcmu
rm "$R/$DEB/tcmu-runner/handler_storageos.so"
probe
is "a copy is no plugin" "$(said '"\(.frontend): \(.reason)"')" \
	"fuse: no TCMU: handler_storageos.so is not in /$DEB/tcmu-runner"

root rpm rhel 8.4 "Red Hat Enterprise Linux"
kernel 4.18.0-305.el8.x86_64 --modules "$ALL_TCMU $FUSE"
software usr/lib64
probe
is "on RPM systems it is in /usr/lib64" "$(said .tcmu_runner.plugin)" \
	/usr/lib64/tcmu-runner/handler_storageos.so
text=$("$STORAGEOS" probe --root "$R")
like "for people: the runner" "$text" '^tcmu-runner +1\.[0-9.]+ \(ABI G\)$'
like "for people: the plugin" "$text" '^plugin +/usr/lib64/tcmu-runner/handler_storageos\.so$'
like "for people: what cannot be known" "$text" '^machine +not running: .*unknown$'
like "for people: no step" "$text" '^next step +none$'
is "for people: it fits on a screen" "$(($(wc -l <<<"$text") <= 24))" 1
check "nothing in any of these roots was executed" test ! -e "$WORK/executed"
finish
