#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tests/bench/plugin measures the plugin and its peers, prints their ratios, and leaves nothing behind.
. "$(dirname "$0")/../lib.sh"
need python3 python3
need ninja ninja-build
need_root
need_built "$STORAGEOS" "$STORAGEOS_PLUGIN" "$STORAGEOS_BUILD/tests/bench/hbench"
export BUILD=$STORAGEOS_BUILD
mkdir "$WORK/bench"

plugin() {
	"$ROOT/tests/bench/plugin" --directory "$WORK/bench" --size 64M --seconds 0.1 --reps 1 --retries 0 "$@"
}
row() { # CELL: its row of the first table, its fields separated by one blank
	sed -n '/^== Requests a second/,/^$/s/^'"$1"'  */ /p' "$WORK/table" | tr -s ' '
}

check "--help" plugin --help
like "--list names the cells" "$(plugin --list)" '^4k random overwrite, depth 32$'
refuses "a cell that does not exist" "no cell's name contains nonsense" plugin --cells nonsense
refuses "a plugin that cannot be loaded" "cannot open shared object file" \
	plugin --cells "overwrite, depth 1" --contenders before --compare "$WORK/none.so"

plugin --goals --json "$WORK/runs" --cells "4k random overwrite, depth 32" "1M read, aged, cold" \
	"two volumes, 4k random read" "large: 4k random overwrite" "crash" >"$WORK/table" 2>"$WORK/notes"
is "measuring every kind of cell" "$?" 0
like "the table has each contender, and ratios" "$(grep -m 1 '^cell' "$WORK/table")" \
	'^cell +raw +raw-threads .*ours +ours/raw +ours/raw-threads .*goal +met$'
number='[0-9][0-9,.]*'
for cell in "4k random overwrite, depth 32" "1M read, aged, cold, depth 8" \
	"two volumes, 4k random read, warm, depth 32 each"; do
	like "$cell: numbers" "$(row "$cell")" "^ $number $number .*$number"
done
like "goals are told" "$(row "4k random overwrite, depth 32")" '>= 1.5 (yes|no)$'
like "a large volume: the misses of its node cache" \
	"$(grep '^4k random overwrite, depth 32 .*%' "$WORK/table")" '% +[0-9.]+ %'
like "a volume opens after a kill" "$(grep '^ours  *[0-9.]*  *[0-9.]*  *< 2' "$WORK/table")" '(yes|no)$'
is "no run failed" "$(grep -v -e '^# left out' -e '^# repetition' "$WORK/notes")" ""
is "the tables can be printed again" \
	"$("$ROOT/tests/bench/plugin" --from-json "$WORK/runs" --goals --cells "4k random overwrite, depth 32" |
		sed -n '/^== Requests/,/^$/p' | grep -c '^4k')" 1
is "nothing is left" "$(ls "$WORK/bench")" ""

printf 'before\n<!-- %s: begin -->\nold\n<!-- %s: end -->\nafter\n' \
	"tests/bench/plugin --md" "tests/bench/plugin --md" >"$WORK/page.md"
check "--update" plugin --from-json "$WORK/runs" --update "$WORK/page.md"
is "it changes nothing around the markers" "$(sed -n '1p;$p' "$WORK/page.md" | xargs)" "before after"
like "between them is the table" "$(<"$WORK/page.md")" '^\| 4k random overwrite, depth 32 +\|'

"$ROOT/tests/bench/plugin" --directory "$WORK/bench" --size 64M --seconds 600 \
	--cells "4k random overwrite, depth 32" >"$WORK/interrupted" 2>&1 &
bench=$!
cleanup stop $bench
measuring() { pgrep -P "$bench" hbench >/dev/null; }
must "it measures" wait_for 20 measuring
kill -TERM $bench
must "SIGTERM ends it" wait_for 20 gone $bench
is "nothing is left" "$(ls "$WORK/bench")" ""
finish
