#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# zsh and fish complete what bash completes (lint.sh): verbs, options, volumes, pools, snapshots.
# shellcheck disable=SC2016 # what is in single quotes is for zsh and fish
. "$(dirname "$0")/../lib.sh"
need zsh zsh
need fish fish
need python3 python3
need_root
need_built "$STORAGEOS"
own_config

must "a volume" "$STORAGEOS" create db --size 1M
must "and another" "$STORAGEOS" create dump --size 1M
must "and a pool" "$STORAGEOS" pool create fast "$WORK/fast"
must "with one" "$STORAGEOS" create fast/log --size 1M
must "a snapshot" "$STORAGEOS" snapshot create db@monday --freeze never
ln -s "$STORAGEOS" "$WORK/storageos"

# What can stand for the last word.  zsh: what its completion gives to compadd, by prefix.
in_zsh() {
	PATH=$WORK:$PATH zsh -f -c '
		compadd() {
			local suffix="" prefix=${words[CURRENT]}
			while [[ $1 == -* ]]; do case $1 in --) shift; break ;; -S) suffix=$2; shift ;; esac; shift; done
			for word; do [[ $word == $prefix* ]] && print -r -- $word$suffix; done
			return 0
		}
		_files() { print FILES; }
		file=$1; shift
		words=("$@") CURRENT=$#
		. $file' zsh "$ROOT/packaging/completion/zsh/_storageos" "$@" 2>&1 | sort -u | xargs
}
in_fish() {
	PATH=$WORK:$PATH HOME=$WORK fish --no-config -c "source $ROOT/packaging/completion/fish/storageos.fish
		complete -C '$*'" 2>&1 | cut -f1 | sort -u | xargs
}

check "zsh can parse its file" zsh -n "$ROOT/packaging/completion/zsh/_storageos"
check "fish can parse its file" fish --no-execute "$ROOT/packaging/completion/fish/storageos.fish"
while IFS='|' read -r what wanted words; do
	eval "set -- $words"
	is "zsh: $what" "$(in_zsh storageos "$@")" "$wanted"
	is "fish: $what" "$(in_fish storageos "$@")" "$wanted"
done <<-END
	verbs|attach|at
	the verb whose help is wanted|probe|help pro
	volumes|db default/db default/dump dump|attach d
	volumes of other pools|fast/log|info f
	also behind options|dump|--config $STORAGEOS_CONFIG check du
	pools for create|fast/|create f
	pools for list|default fast|list ''
	only attached volumes for detach: nothing here||detach ''
	or for stats||stats ''
	another volume to delete|dump|delete db du
	what can be renamed|db default/db default/dump dump|rename d
	columns|scrubbed size snapshots state|list -o s
	and those to sort by|used uuid|list --sort u
	what can be copied|dump|copy du
	a snapshot, too|db@monday|copy db@
	where it can go|default fast|move db ''
	options|--config --frontend --help --json --quiet --read-only|attach --
	values of options|auto fuse tcmu|attach --frontend ''
	other values with another verb|fuse tcmu|detach --all --frontend ''
	verbs of snapshot|release rename|snapshot re
	snapshots|db@monday|snapshot delete db@
	snapshots for rollback|default/db@monday|rollback default/db@m
	a second snapshot|default/db@monday|clone default/db@m
	formats|raw rbd-diff|export --format r
	orders of top|b i l n u|top --sort ''
	formats of qemu|qcow2|import --format q
	what an image can be made of|db db@monday|export db
	what can be mapped|db db@monday|map db
	and compared|dump|compare db du
	volumes for a new snapshot|fast/log@|snapshot create fa
	options of a verb below a verb|--dry-run|snapshot delete --d
	verbs of pool|create delete events import list rename set show|pool ''
	pools for pool delete|fast|pool delete f
	pools for pool show|fast|pool show f
	what a pool can be set to|quota= quota=none|pool set fast q
	options of a verb below pool|--adopt|pool create --a
	options of pool import|--name|pool import --n
	what can be set|user. uuid=new|set db u
END
finish
