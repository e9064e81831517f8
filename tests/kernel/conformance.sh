#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# libiscsi's conformance suite on a LUN that the kernel exports over iSCSI.  Only tests may fail or be
# skipped whose result the kernel or the suite itself decides.  STORAGEOS_BLOCK=4096: with logical
# blocks of 4096 bytes.
. "$(dirname "$0")/guest.sh"
need_built "$STORAGEOS_PLUGIN" "$STORAGEOS"
need tcmu-runner tcmu-runner
need targetcli targetcli-fb
need iscsi-test-cu libiscsi-bin
enter_guest --timeout 580 --env "STORAGEOS_BLOCK=${STORAGEOS_BLOCK-}"

target=iqn.2026-01.com.example:conformance
initiator=iqn.2007-10.com.github:sahlberg:libiscsi:iscsi-test
url=iscsi://127.0.0.1/$target

# The tests that do not pass, with the reasons.
fails=(
	# The kernel does not set the residual count for TCMU.
	iSCSIResiduals.{Read10Invalid,{Read,Write,WriteVerify}{10,12,16}Residuals}
	# The kernel returns the whole buffer, however short the answer is.
	Inquiry.{AllocLength,BlockLimits}
	# The kernel's iSCSI target ends the connection where the suite expects a status.
	iSCSIdatasn.iSCSIDataSnInvalid
	# The suite asks about LBA n+1 and expects LBA n+8, with physical blocks of eight logical ones.
	GetLBAStatus.UnmapSingle
	# The suite writes blocks of FFh, whether or not they are to be unmapped, and expects zeros.
	WriteSame10.UnmapUntilEnd
)
skips=(
	# Only for removable media.
	NoMedia.NoMediaSBC PreventAllow.{2ITNexuses,ColdReset,Eject,ITNexusLoss,LUNReset,Logout}
	PreventAllow.{Simple,WarmReset} StartStopUnit.{NoLoej,PwrCnd,Simple}
	# Only for a LUN that the target write-protects.
	ReadOnly.ReadOnlySBC
	# The kernel refuses these resets.
	Reserve6.Target{Cold,Warm}Reset
)

passes=200
control=''
if [ "${STORAGEOS_BLOCK:-512}" = 4096 ]; then
	passes=185
	control=' control=hw_block_size=4096'
	fails=(
		"${fails[@]/GetLBAStatus.UnmapSingle/}"
		# The suite sends 512 bytes for a block (libiscsi 1.20 does not).
		ProutReserve.Access{EA,EAAR,EARO,WE,WEAR,WERO} {Read,Write}10.Async
		iSCSITMF.AbortTaskSimpleAsync
		# The suite zeroes 256 blocks and compares 257; another test wrote the last one.
		MultipathIO.CompareAndWrite
	)
	skips+=(
		# Only for logical blocks that are smaller than physical ones.
		{CompareAndWrite,WriteSame1{0,6}}.InvalidDataOutSize WriteSame1{0,6}.UnmapUnaligned
		WriteAtomic16.VPD
	)
fi

plugin_install
# The kernel's directories for persistent reservations.
mkdir -p /etc/rtslib-fb-target/{pr,alua} /var/target/{pr,alua}
must "the runner starts" runner_start
must "load the kernel's iSCSI target" modprobe iscsi_target_mod
must "targetcli makes a volume" targetcli \
	"/backstores/user:storageos create name=disk size=100M cfgstring=disk;create$control"
# A volume that takes at least 27 s to overwrite: Sanitize.Reset polls the sanitize for 22 s, and fails if
# it is done by then.
sed -i 's/^\[storageos\]/&\nsanitize_rate=1.2MiB/' /etc/storageos/storageos.conf
must "targetcli makes a volume that is sanitized slowly" targetcli \
	"/backstores/user:storageos create name=slow size=32M cfgstring=slow;create$control"
must "make a target" targetcli /iscsi create "$target"
for lun in disk slow; do
	must "make a LUN" targetcli "/iscsi/$target/tpg1/luns" create "/backstores/user:storageos/$lun"
done
for acl in "$initiator" "$initiator-2"; do
	must "let the suite use it" targetcli "/iscsi/$target/tpg1/acls" create "$acl"
	# The suite sleeps for a minute without answering pings.  The kernel would end the connection,
	# and the suite might wait for an answer for ever.
	echo 0 >"$CONFIGFS/iscsi/$target/tpgt_1/acls/$acl/attrib/nopin_timeout"
done

# Each suite, and each test of Sanitize, runs in a process and a session of its own, so that none hangs
# because of what the previous one left (otherwise libiscsi 1.19 recurses without end in
# Sanitize.BlockEraseReserved).  A process that ends before its summary, as happens now and then on a
# busy machine, says nothing about the LUN, so it gets one more try.  So does one that was answered BUSY
# (status 8), as happens to what takes longer than 20 s there: initiators send that again, the suite does not.
run() { # NAME LUN [URL]: prints the output of the suite
	local log=$WORK/$1.run try
	for try in 1 2; do
		stdbuf -oL timeout "$(limit 150)" iscsi-test-cu --dataloss --allow-sanitize -V \
			--test="ALL.$1" "$url/$2" "${@:3}" >"$log" 2>&1
		if ! grep -q '^Run Summary' "$log"; then
			echo "try $try of $1 ended before its summary: $(tail -n 3 "$log")"
		elif ! grep 'command failed with status 8 ' "$log"; then
			break
		fi >>"$WORK/broken-off"
	done
	cat "$log"
}

# Prints NAME and RESULT of each test in the output.  A test counts as skipped if it ever says so.
results() {
	awk '
	function close_test() {
		if (name) print suite "." name, failed ? "failed" : skipped ? "skipped" : passed ? "passed" : "no result"
		name = ""; failed = skipped = passed = 0
	}
	/^Suite: / { close_test(); suite = $2 }
	/^ *Test: / { close_test(); name = $2 }
	/\[SKIPPED\]/ { skipped = 1 }
	# The same line may have a message before or after this word.
	/(^|\.\.\.)FAILED|[^]]FAILED$/ { failed = 1 }
	/(^|\.\.\.)passed|passed$/ { passed = 1 }
	/^Run Summary/ { close_test() }
	END { close_test() }'
}

run Sanitize.Reset 1 >"$WORK/Reset.log" &
slow=$!
iscsi-test-cu --list | sed -n 's/^ALL\.\([A-Za-z0-9]*\)$/\1/p' >"$WORK/suites"
while read -r suite; do
	case $suite in
	Sanitize)
		iscsi-test-cu --list | sed -n 's/^ALL\.\(Sanitize\..*\)$/\1/p' | grep -v Reset |
			while read -r test; do run "$test" 0; done
		;;
	MultipathIO) run "$suite" 0 "$url/0" ;;
	*) run "$suite" 0 ;;
	esac >"$WORK/$suite.log" </dev/null
done <"$WORK/suites"
wait $slow
cat "$WORK"/*.log | results | sort -u >"$WORK/results"
names() { # RESULT
	sed -n "s/ $1\$//p" "$WORK/results"
}

[ ! -e "$WORK/broken-off" ] || note "$(cat "$WORK/broken-off")"
like "every test of the suite has a result" "$(wc -l <"$WORK/results") $(names 'no result' | wc -l)" \
	'^230 0$'
check "$passes pass" [ "$(names passed | wc -l)" -ge $passes ]
is "only tests fail that the kernel or the suite decides" "$(names failed)" \
	"$(printf '%s\n' "${fails[@]}" | sed '/^$/d' | sort)"
is "only tests are skipped that the kernel or the suite decides" "$(names skipped)" "$(printf '%s\n' "${skips[@]}" | sort)"
note "$(cut -d' ' -f2- "$WORK/results" | sort | uniq -c)"
for test in $(names failed); do
	[[ " ${fails[*]} " == *" $test "* ]] ||
		note "$(sed -n "/Test: ${test#*.} /,/^  Test:/p" "$WORK/${test%%.*}.log")"
done
check "the runner has outlived all of it" runner_alive
finish
