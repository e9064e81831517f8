#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# storageos-json(5) is true: what each command prints with --json has the members that the page names, of the types
# that it names, and no others.
. "$(dirname "$0")/../lib.sh"
need jq jq
need python3 python3
need_root
need_fuse
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
own_config

page=$ROOT/docs/man/storageos-json.5
cat >"$WORK/page.py" <<'END'
# page.py PAGE TITLE...: checks JSON on standard input against the lines of these titles.
# page.py PAGE --titles: prints all titles.
import json, re, sys
TYPES = {"text": str, "flag": bool, "share": float, "number": int, "bytes": int, "blocks": int, "time": int,
         "ns": int, "s": int}
page, title, inside = {}, None, False
for line in open(sys.argv[1]):
    line = line.rstrip("\n").replace("\\-", "-")
    if line.startswith(".SS "):
        title = line[4:].strip('"')
        page[title] = {}
    elif line in (".nf", ".fi"):
        inside = line == ".nf"
    elif inside and line and not line[0].isspace():
        member, kind = line.split()[:2]
        assert kind in TYPES, line
        assert member.rstrip("?") not in page[title], "twice: " + line
        page[title][member.rstrip("?")] = (TYPES[kind], member.endswith("?"))
if sys.argv[2] == "--titles":
    print("\n".join(t for t in page if page[t]))
    sys.exit()
lines = {}
for t in sys.argv[2:]:
    lines.update(page[t])
problems = set()
def named(path):
    """The line of a path, in which * stands for any name; at the end also for one with dots."""
    for line in lines:
        pattern = re.sub(r"\\\*$", lambda _: r"[^\[]+", re.escape(line)).replace(r"\*", r"[^.\[]+")
        if re.fullmatch(pattern, path):
            return line
def walk(value, path, lacking):
    """Checks a value.  `lacking`: how the page goes on at this place, each: (rest of the path, its line)."""
    if isinstance(value, dict):
        for key, below in value.items():
            at = f"{path}.{key}" if path else key
            walk(below, at, lines)
        for line in lines:
            prefix = re.escape(line).replace(r"\*", r"[^.\[]+")
            head, _, last = line.rpartition(".")
            here = re.fullmatch(re.escape(head).replace(r"\*", r"[^.\[]+"), path) if head else path == ""
            if here and "[]" not in last and last != "*" and not lines[line][1] and last not in value:
                problems.add(f"lacks {line}")
    elif isinstance(value, list):
        if not any(l.startswith(path + "[]") or named(path + "[]") for l in lines) and \
                not re.search(r"operations", path):
            problems.add(f"not in the page: {path}[]")
        for below in value:
            walk(below, path + "[]", lines)
    else:
        line = named(path)
        if not line:
            problems.add(f"not in the page: {path}")
        elif type(value) is not lines[line][0]:
            problems.add(f"{path} is {value!r}")
text = sys.stdin.read()
walk(json.loads(text), "", lines)
print("\n".join(sorted(problems)))
END
of_page() { python3 "$WORK/page.py" "$page" "$@" 2>&1; }

seen=()
holds() { # "TITLE[+TITLE]" COMMAND...: its JSON is as the page says
	local titles=$1
	shift
	local -a names
	IFS=+ read -ra names <<<"$titles"
	seen+=("${names[@]}")
	is "$titles: $*" "$("$STORAGEOS" "$@" --json 2>"$WORK/err" </dev/null | tee "$WORK/last" | of_page "${names[@]}")" ""
}

# ---- the check itself

is "a member that is not in the page is found" "$(echo '{"pool": "a", "directory": "/", "uuid": "u", "colour": 1}' |
	of_page "pool create")" "not in the page: colour"
is "a member that is missing" "$(echo '{"pool": "a", "directory": "/"}' | of_page "pool create")" "lacks uuid"
is "a member of another type" "$(echo '{"pool": 7, "directory": "/", "uuid": "u"}' | of_page "pool create")" "pool is 7"
is "in a list" "$(echo '[{"snapshot": "a@b", "generation": 1, "frozen": false}, {"snapshot": "a@b", "frozen": 0}]' |
	of_page "snapshot create")" "[].frozen is 0
lacks [].generation"

# ---- volumes and pools

holds "pool create" pool create fast "$WORK/fast"
holds create create db --size 64M
holds create create fast/other --size 32M
holds list list
holds info info db
holds check check db
holds scrub scrub db
holds "check+check --repair --yes" check db --repair --yes
holds resize resize fast/other 40M
holds "set uuid=new --dry-run" set fast/other uuid=new -n
holds "set uuid=new" set fast/other uuid=new
holds "set write_cache" set fast/other write_cache=off
holds "set KEY=VALUE" set fast/other "description=a b" label.x.y=1 scrub_rate=5M
holds "set KEY=VALUE" set fast/other label.x.y=2 -n
holds get get fast/other
holds get get fast/other label.x.y write_cache
holds info info fast/other
holds rename rename fast/other renamed -n
holds rename rename fast/other renamed
holds move move fast/renamed default -n
holds move move fast/renamed default
holds delete delete renamed --forget
holds "pool list" pool list
holds "pool list" pool show fast
holds "pool set" pool set fast quota=1G
holds "pool list" pool list
mkdir "$WORK/run/pool-events"
echo '{"pool": "fast", "mark": 80, "before": 0, "percent": 81}' >"$WORK/run/pool-events/fast"
holds "pool events" pool events
holds "pool rename" pool rename fast quick
holds "pool delete" pool delete quick
holds "pool import" pool import "$WORK/fast" -n
holds "pool import" pool import "$WORK/fast"
must "take it out again" "$STORAGEOS" pool delete quick
holds status status db
holds probe probe
echo x >"$POOL/bad.vol"
holds list list
rm "$POOL/bad.vol"

# ---- served, with snapshots

mkdir "$WORK/mnt"
cleanup unmount_for_certain "$WORK/mnt"
must "serve" "$STORAGEOS_FUSE" --pid-file "$WORK/pid" db "$WORK/mnt"
put() { dd if=/dev/urandom of="$WORK/mnt/db" bs=1M count=4 seek="$1" conv=notrunc,fsync status=none; }
put 0
holds stats stats
must "set limits" "$STORAGEOS" set db read_iops=1000 write_bytes=1G
holds stats stats db
holds status status
holds list list
holds info info db
holds scrub scrub db --status
holds scrub scrub db
holds scrub scrub db --status
holds "snapshot create" snapshot create db@one
put 2
holds "snapshot create" snapshot create db@two
holds "snapshot list" snapshot list
holds "snapshot list" snapshot list db --usage
holds "snapshot hold" snapshot hold db@two audit
holds "snapshot list" snapshot list
holds "snapshot release" snapshot release db@two audit
holds "snapshot rename" snapshot rename db@two zwei
holds "snapshot delete" snapshot delete db@zwei -n
holds clone clone db@one linked --linked
holds list list
holds info info linked
holds "flatten --dry-run" flatten linked -n
holds flatten flatten linked
holds clone clone db@one copied --copy
holds copy copy db another
holds export export db@one "$WORK/one.stream"
holds export export db@zwei "$WORK/two.stream" --from one
printf '[policy often]\nhourly=2\n[volume default/db]\npolicy=often\n' >>"$STORAGEOS_CONFIG"
holds "snapshot run" snapshot run -n
holds "snapshot run" snapshot run
holds "snapshot delete" snapshot delete db@zwei
must "create a volume that receives" "$STORAGEOS" create copy --size 64M
holds "import --dry-run" import copy "$WORK/one.stream" -n
holds import import copy "$WORK/one.stream"
must "create an image" truncate -s 2M "$WORK/image.raw"
holds "import --format raw --dry-run" import image "$WORK/image.raw" --format raw --dry-run
holds "import --format raw" import image "$WORK/image.raw" --format raw
holds "import --format raw" import image "$WORK/image.raw" --format raw --force
holds map map db@one
holds compare compare image "$WORK/image.raw"
holds compare compare db@one image
head -c 3000000 "$WORK/two.stream" >"$WORK/cut.stream"
"$STORAGEOS" import copy "$WORK/cut.stream" >/dev/null 2>&1
holds "import --token" import copy --token
holds "import --abort" import copy --abort
pid=$(<"$WORK/pid")
must "end" unmount "$WORK/mnt"
must "it has ended" wait_for 10 gone "$pid"
holds rollback rollback db@one

# ---- attach

if [ -c /dev/loop-control ]; then
	cleanup attached_end
	holds attach attach db --frontend fuse
	holds status status
	must "detach" "$STORAGEOS" detach db
	holds attach attach db --frontend fuse --read-only
	holds status status
	must "detach" "$STORAGEOS" detach db
	holds attach attach db@one --frontend fuse
	holds stats stats
	must "detach" "$STORAGEOS" detach db@one
else
	seen+=(attach)
	skip "attach" "this kernel has no loop devices"
fi

is "each command of the page was run" "$(of_page --titles | sort -u)" "$(printf '%s\n' "${seen[@]}" | sort -u)"
verbs=$("$STORAGEOS" --help | sed -n 's/^  \([a-z]*\)  *[A-Z[].*/\1/p' | sort -u)
is "each verb is in the page, but those that print nothing" \
	"$(comm -23 <(echo "$verbs") <(of_page --titles | sed 's/ .*//' | sort -u) | xargs)" "detach diff top"
finish
