#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The page for Cockpit, in a real browser and within a real Cockpit: it shows what the command prints, alerts, attaches
# and detaches, takes what users write for text, follows Cockpit's style, and says what a user without privileges lacks.
. "$(dirname "$0")/../lib.sh"
need jq jq
need curl curl
need mkfs.ext4 e2fsprogs
need chromium chromium
need chromedriver chromium-driver
need cockpit-bridge cockpit-bridge
need_root
need_fuse
need_loop
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
for cockpit in /usr/lib/cockpit/cockpit-ws /usr/libexec/cockpit-ws ''; do
	[ ! -x "$cockpit" ] || break
done
[ -n "$cockpit" ] || skip_all "cockpit-ws is not installed (package cockpit-ws)"
[ -d /usr/share/cockpit/shell ] || skip_all "Cockpit's own pages are not installed (package cockpit-system)"

# In a network namespace of its own, since this Cockpit asks for no password.
if [ -z "${STORAGEOS_OWN_NAMESPACE-}" ]; then
	tap_finished=yes
	STORAGEOS_OWN_NAMESPACE=yes unshare --net bash "$0"
	exit
fi
ip link set lo up || skip_all "there is no loopback interface"
# On a disk of its own: how full this machine's is, is not the test's.
mkdir "$WORK/pool" && truncate -s 256M "$WORK/disk" || give_up "cannot make a pool"
must "a file system" mkfs.ext4 -q -m 0 "$WORK/disk"
must "its disk" loop_attach "$WORK/disk"
cleanup unmount_for_certain "$WORK/pool"
must "is mounted" mount "$LOOP" "$WORK/pool"
own_config
cleanup attached_end

# ---- the browser

driver() { # PATH [JSON]: the value that chromedriver answers
	curl -sS --max-time "$(limit 30)" -H 'Content-Type: application/json' ${2+-d "$2"} "http://127.0.0.1:9515/$1" |
		jq -c .value
}
script() { # JAVASCRIPT: what it returns
	driver "session/$session/execute/sync" "$(jq -n --arg s "return $1" '{script: $s, args: []}')" | jq -r .
}
element() { # SELECTOR
	driver "session/$session/element" "$(jq -n --arg s "$1" '{using: "css selector", value: $s}')"
}
click_on() { # SELECTOR: by a mouse that is moved there
	driver "session/$session/element/$(element "$1" | jq -r 'to_entries[0].value')/click" '{}' | grep -qx null
}
click() { # VERB VOLUME: the button
	click_on "button[data-verb='$1'][data-volume='$2']"
}
go() { # ADDRESS
	driver "session/$session/url" "{\"url\": \"$1\"}" | grep -qx null
}
enter() { # SELECTOR: what follows is in this frame
	driver "session/$session/frame" "{\"id\": $(element "$1")}" | grep -qx null
}
leave() { driver "session/$session/frame" '{"id": null}' >/dev/null; }
PAGE='iframe[name="cockpit1:localhost/storageos"]'
texts() { # SELECTOR: of all such elements, with ; behind each
	script "[...document.querySelectorAll($(jq -n --arg s "$1" '$s'))].map(e => e.innerText.trim() + ';').join('')"
}
cell() { # VOLUME COLUMN
	script "document.querySelector('tr[data-key=\"$1\"] td[data-label=$2]').innerText"
}
shows() { # REGEX FUNCTION ARGUMENT...
	local regex=$1
	shift
	"$@" | grep -qE -- "$regex"
}

must "a volume" "$STORAGEOS" create default/db --size 64M
description='<img src=x onerror="document.title=1">'
must "with a description" "$STORAGEOS" set default/db "description=$description" write_bytes=50M
must "another" "$STORAGEOS" create default/log --size 32M

mkdir -p "$WORK/share/cockpit"
ln -s "$ROOT/packaging/cockpit" "$WORK/share/cockpit/storageos"
export HOME=$WORK PATH=$STORAGEOS_BUILD/cli:$PATH
export XDG_DATA_DIRS=$WORK/share:/usr/share
like "Cockpit finds the page" "$(cockpit-bridge --packages 2>/dev/null)" "^storageos .*$WORK/share/cockpit/storageos"
setsid "$cockpit" --local-session=cockpit-bridge --no-tls --port 9090 --address 127.0.0.1 >"$WORK/cockpit.log" 2>&1 &
cleanup kill -- -$!
setsid chromedriver --port=9515 >"$WORK/driver.log" 2>&1 &
cleanup kill -- -$!
must "chromedriver" wait_for 20 curl -sf http://127.0.0.1:9515/status
must "Cockpit" wait_for 20 curl -sf http://127.0.0.1:9090/ping
# The sandbox of Chromium is not for root.
session=$(driver session "$(jq -n --arg profile "$WORK/profile" '{capabilities: {alwaysMatch: {"goog:chromeOptions":
	{args: ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,900",
		"--user-data-dir=" + $profile]}, "goog:loggingPrefs": {browser: "ALL"}}}}')" | jq -r .sessionId)
[ "$session" != null ] || give_up "no browser: $(tail -n 5 "$WORK/driver.log")"
cleanup curl -s --max-time 10 -X DELETE "http://127.0.0.1:9515/session/$session"
must "the browser takes Cockpit" go http://127.0.0.1:9090/storageos
check "its menu has the page" wait_for 30 shows '^Block volumes;$' texts '#host-apps a[href="/storageos"]'
must "which it shows" wait_for 30 enter "$PAGE"
must "it is filled" wait_for 30 shows 'Updated' texts '#updated'

# ---- what it shows

is "the volumes of storageos list" "$(texts '#volumes th strong')" "$("$STORAGEOS" list --json | jq -j '.[].volume + ";"')"
is "their states" "$(texts '#volumes .badge')" "$("$STORAGEOS" list --json | jq -j '.[].state + ";"')"
like "their sizes" "$(cell default/db Size)" '^64\.0 MiB'
like "the pool" "$(texts '#pools h3')" '^default ready;$'
like "how full it is" "$(texts '#pools .bar span')" "^$("$STORAGEOS" pool list --json | jq '.[0].percent') % taken, .* free;"
is "a bar is as long" "$(script "document.querySelector('#pools [role=meter]').getAttribute('aria-valuenow')")" \
	"$("$STORAGEOS" pool list --json | jq '.[0].percent')"
is "nothing is wrong" "$(texts '#alerts li')" 'All pools and volumes are well.;'
is "a description is text" "$(texts '#volumes th small')" "$description;"
is "and nothing else" "$(script 'document.images.length + document.title')" "0Block volumes"

# ---- attach and detach

check "attach is clicked" click attach default/db
check "it is attached" wait_for 30 shows '^attached' cell default/db State
is "also for storageos status" "$("$STORAGEOS" status default/db --json | jq -r '.[0].state')" attached
like "the page says where" "$(cell default/db Device)" "^$WORK/dev/default/db"
check "the button is another one" wait_for 10 shows '^Detach' cell default/db Action
like "it has the limit" "$(cell default/db Writes)" 'limit 50\.0 MiB/s'
must "a file system" mkfs.ext4 -q "$WORK/dev/default/db"
mkdir "$WORK/mnt"
cleanup unmount_for_certain "$WORK/mnt"
must "it is mounted" mount "$WORK/dev/default/db" "$WORK/mnt"
write_on() {
	dd if=/dev/zero of="$WORK/mnt/file" bs=1M count=8 conv=fsync status=none && shows '^[1-9].*/s' cell default/db Writes
}
check "what is written is seen" wait_for 20 write_on
refused=$("$STORAGEOS" detach default/db 2>&1)
check "detach of a mounted volume is clicked" click detach default/db
check "it is refused" wait_for 30 shows 'in use' cell default/db Action
is "in the command's own words" "$(texts 'tr[data-key="default/db"] .problem')" "$refused;"
like "it stays attached" "$(cell default/db State)" '^attached'
must "it is unmounted" unmount "$WORK/mnt"
check "detach is clicked again" click detach default/db
check "it is detached" wait_for 30 shows '^detached' cell default/db State
is "also for storageos status" "$("$STORAGEOS" status default/db --json | jq -r '.[0].state')" detached
is "and the refusal is gone" "$(texts '.problem')" ""

# ---- what is not well

free=$(stat -f -c '%a * %S' "$POOL")
must "the pool fills" fallocate -l $((free - (40 << 20))) "$POOL/other"
check "an event" wait_for 30 shows '^Warning pool default: 8[0-9] % of .* are taken, .* are free \(warn=80\);$' texts '#alerts li.warning'
must "more is promised than there is" "$STORAGEOS" create default/large --size 1G
check "is told" wait_for 30 shows 'Warning pool default: its volumes may grow to 1\.1 GiB together' texts '#alerts li.warning'
must "a volume is damaged" cp /etc/hostname "$POOL/bad.vol"
check "is an error" wait_for 30 shows '^Error default/bad: ' texts '#alerts li.danger'
is "without buttons" "$(cell default/bad Action)" ""
like "and the others are shown" "$(texts '#volumes th strong')" '^default/bad;default/db;default/large;default/log;$'
mv "$POOL/.storageos-pool" "$WORK/marker"
check "a pool without its marker is one" wait_for 30 shows 'Error pool default: .*no marker' texts '#alerts li.danger'
mv "$WORK/marker" "$POOL/.storageos-pool"
rm "$POOL/bad.vol" "$POOL/other"
check "an alert goes with its cause" wait_for 30 shows '^Warning pool default: its volumes [^;]*;$' texts '#alerts li'
mv "$STORAGEOS_CONFIG" "$WORK/aside"
check "a command that fails is told" wait_for 30 shows "^Error storageos: .*$STORAGEOS_CONFIG" texts '#alerts li.danger'
like "and what was there is still shown" "$(texts '#volumes th strong')" '^default/db;default/large;default/log;$'
mv "$WORK/aside" "$STORAGEOS_CONFIG"
check "until it succeeds" wait_for 30 shows '^Warning pool default: its volumes [^;]*;$' texts '#alerts li'

# ---- how it looks

colour() { script "getComputedStyle(document.body).backgroundColor"; }
is "it is light" "$(colour)" "rgb(240, 240, 240)"
leave
must "Cockpit's menu" click_on '#toggle-menu'
must "has a dark style" wait_for 10 click_on '#dark'
must "back to the page" enter "$PAGE"
is "which is dark, too" "$(colour)" "rgb(21, 21, 21)"
driver "session/$session/goog/cdp/execute" '{"cmd": "Emulation.setDeviceMetricsOverride",
	"params": {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": true}}' >/dev/null
is "a phone is as wide as the page" "$(script '[innerWidth, document.documentElement.scrollWidth]' | jq -c .)" '[360,360]'
is "the browser has nothing to complain of" "$(driver "session/$session/se/log" '{"type": "browser"}' |
	jq -r '.[].message | select(test("^[^ ]*/storageos/"))')" ""

# ---- a user without privileges

chmod 755 "$WORK"
mkdir "$WORK/bin" "$WORK/home"
cp "$STORAGEOS" "$WORK/bin/"
chown 65534 "$WORK/home"
HOME=$WORK/home PATH=$WORK/bin:$PATH setsid setpriv --reuid=65534 --regid=65534 --clear-groups "$cockpit" \
	--local-session=cockpit-bridge --no-tls --port 9091 --address 127.0.0.1 >"$WORK/cockpit.log" 2>&1 &
cleanup kill -- -$!
must "Cockpit" wait_for 20 curl -sf http://127.0.0.1:9091/ping
leave
must "the browser takes it" go http://127.0.0.1:9091/storageos
must "and shows the page" wait_for 30 enter "$PAGE"
check "it says what is needed" wait_for 30 shows 'Error administrative access is needed' texts '#alerts li.danger'
finish
