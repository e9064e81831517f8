#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The table of states in docs/operations.md has a row for everything that status can show, and a test
# enters and leaves the state of each row.
. "$(dirname "$0")/../lib.sh"

source=$ROOT/cli/attachment.c
table=$(sed -n '/^## States/,/^## Errors/p' "$ROOT/docs/operations.md")
tests=$(cat "$ROOT"/tests/cli/{ways-out,links,replaced,verbs,rename,pool-quota}.sh "$ROOT"/tests/cli/failover.c "$ROOT/tests/kernel/ways-out.sh")

has() { [[ $1 == *"$2"* ]]; }

# returned FUNCTION: prints the texts that FUNCTION returns.
returned() {
	sed -n "/^[a-z].*$1(/,/^}/p" "$source" | sed -n 's/.*return "\([^?"][^"(]*[^"( ]\).*/\1/p'
}


names=$(returned attachment_state_name)
is "there are as many states as names" "$(wc -l <<<"$names")" \
	"$(sed -n '/^typedef enum {$/,/} AttachmentState;/p' "$ROOT/cli/attachment.h" | grep -c '^	STATE_')"
while read -r name; do
	check "the table has the state $name" has "$table" "| \`$name\` |"
done <<<"$names"
problems=$(returned fuse_problem; returned tcmu_problem)
like "there are problems" "$problems" 'loop device is gone'
while read -r problem; do
	check "the table has: $problem" has "$table" "$problem"
done <<<"$problems"

# For each row, a test has the text of status, without the placeholders for names and numbers.
while IFS='|' read -r _ _ says _; do
	# shellcheck disable=SC2016
	for part in $(grep -o '`[^`]*`' <<<"$says" | tr ' ' '_' | tr -d '`'); do
		part=$(tr '_' ' ' <<<"$part" | sed 's/^[. ;]*//; s/\.\.\..*//; s/ *$//; s/process N ($/has the volume open/')
		[ -n "$part" ] || continue
		check "a test has: $part" has "${tests//\\/}" "$part"
	done
done < <(grep '^|' <<<"$table" | sed 1,2d)
finish
