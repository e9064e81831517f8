# SPDX-License-Identifier: Apache-2.0
# fish completion of storageos(8)

# The words after the program, without options and without the value of --config.
function __storageos_words
    set -l skip 0
    for word in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
        else if test "$word" = --config
            set skip 1
        else if not string match -q -- '-*' $word
            echo $word
        end
    end
end

# Whether the words so far are these (any: _), and no more.
function __storageos_at
    set -l words (__storageos_words)
    test (count $words) = (count $argv); or return 1
    for i in (seq (count $argv))
        test $argv[$i] = _ -o $argv[$i] = $words[$i]; or return 1
    end
end

# Whether the first word is one of these.
function __storageos_verb
    set -l words (__storageos_words)
    test (count $words) -gt 0; and contains -- $words[1] $argv
end

function __storageos_values
    storageos $argv[2..-1] --json 2>/dev/null | sed -n "s/.*\"$argv[1]\": \"\([^\"]*\)\".*/\1/p"
end

# The volumes, those of the default pool also without the pool's name: of list, or of status for attached
# volumes only.
function __storageos_volumes
    __storageos_values volume $argv[1] | sed -n 'p; s,^default/,,p'
end

# Those of them that nobody has in use.
function __storageos_detached
    storageos list --json 2>/dev/null |
        sed -n '/"volume":/h; /"state": "detached"/ { g; s/.*: "\(.*\)".*/\1/p; s,^default/,,p; }'
end

function __storageos_snapshots
    storageos snapshot list 2>/dev/null | sed -n 's,^\([^ @]*@[^ ]\{1\,\}\) .*,\1,p' | sed 'p; s,^default/,,'
end

function __storageos_verbs
    storageos --help 2>/dev/null | sed -n 's,^  \([a-z][a-z]*\) .*,\1,p' | sort -u
end

function __storageos_options
    set -l words (__storageos_words)
    contains -- "$words[1]" pool snapshot; or set words $words[1]
    set -q words[1]; or return
    storageos $words[1..(math "min(2, "(count $words)")")] --help 2>/dev/null | grep -o -e '--[a-z][a-z-]*' | sort -u
end

complete -c storageos -f
complete -c storageos -n __storageos_at -a '(__storageos_verbs)'
complete -c storageos -n __storageos_at -a '--config --help --version'
complete -c storageos -n 'not __storageos_at; and string match -q -- "-*" (commandline -ct)' -a '(__storageos_options)'
complete -c storageos -n '__storageos_at help' -a '(__storageos_verbs)'

complete -c storageos -l config -r -F
complete -c storageos -n '__storageos_verb pool' -l ceph-conf -r -F
complete -c storageos -n '__storageos_verb pool' -l ceph-id -x
complete -c storageos -n '__storageos_verb stats' -s o -l output -r -F
complete -c storageos -n '__storageos_verb probe' -l root -x -a '(__fish_complete_directories)'
complete -c storageos -n '__storageos_verb attach' -l frontend -x -a 'auto tcmu fuse'
complete -c storageos -n '__storageos_verb detach' -l frontend -x -a 'tcmu fuse'
complete -c storageos -n '__storageos_verb snapshot' -l freeze -x -a 'auto require never'
complete -c storageos -n '__storageos_verb export import compare' -l format -x -a 'stream raw qcow2 vmdk vdi vhdx vpc rbd-diff'
complete -c storageos -n '__storageos_verb export' -l from -x -a '(__storageos_snapshots)'
complete -c storageos -n '__storageos_verb top' -l sort -x -a 'i b l u n'
complete -c storageos -n '__storageos_verb create import' -l block-size -x -a '512 4096'
complete -c storageos -n '__storageos_verb create' -l write-cache -x -a 'on off'
complete -c storageos -n '__storageos_verb create' -l size -x

complete -c storageos -n '__storageos_verb list' -s o -l columns -x -a 'volume name pool size used percent state uuid path via device link base write_cache block_size scrubbed snapshots held read written labels description'
complete -c storageos -n '__storageos_verb list' -s s -l sort -x -a 'volume name pool size used percent state uuid path via device link base write_cache block_size scrubbed snapshots held read written labels description'
complete -c storageos -n '__storageos_at list' -a '(__storageos_values pool pool list)'
complete -c storageos -n '__storageos_at pool' -a 'create delete events import list rename set show'
complete -c storageos -n '__storageos_at pool delete; or __storageos_at pool rename; or __storageos_at pool set; or __storageos_at pool show' -a '(__storageos_values pool pool list)'
complete -c storageos -n '__storageos_at pool set _' -a 'quota= quota=none warn= warn=off warn=default'
complete -c storageos -n '__storageos_at pool create _; or __storageos_at pool import' -a '(__fish_complete_directories)'
complete -c storageos -n '__storageos_at create' -a '(__storageos_values pool pool list)/'
complete -c storageos -n '__storageos_verb detach stats' -a '(__storageos_volumes status)'
complete -c storageos -n '__storageos_verb attach; or __storageos_at info' -a '(__storageos_volumes list)'
complete -c storageos -n '__storageos_verb attach info; and string match -q "*@*" (commandline -ct)' \
    -a '(__storageos_snapshots)'
complete -c storageos -n '__storageos_verb check delete' -a '(__storageos_detached)'
complete -c storageos -n '__storageos_at export' -a '(__storageos_volumes list)'
complete -c storageos -n '__storageos_at map; or __storageos_verb compare' -a '(__storageos_volumes list; __storageos_snapshots)'
complete -c storageos -n '__storageos_verb compare; and string match -qr "^[/.]" -- (commandline -ct)' -F
complete -c storageos -n '__storageos_at rename; or __storageos_at move' -a '(__storageos_detached)'
complete -c storageos -n '__storageos_at copy' -a '(__storageos_volumes list)'
complete -c storageos -n '__storageos_at copy; and string match -q "*@*" (commandline -ct)' -a '(__storageos_snapshots)'
complete -c storageos -n '__storageos_at move _' -a '(__storageos_values pool pool list)'
complete -c storageos -n '__storageos_verb scrub' -a '(__storageos_volumes list)'
for verb in flatten get import resize set status
    complete -c storageos -n "__storageos_at $verb" -a '(__storageos_volumes list)'
end
complete -c storageos -n '__storageos_verb set; and not __storageos_at set' -a 'uuid=new write_cache=on write_cache=off
    description= label. user. reserve=full reserve=none scrub_rate= frontend=auto frontend=tcmu frontend=fuse read_iops= read_iops_burst= read_bytes=
    read_bytes_burst= write_iops= write_iops_burst= write_bytes= write_bytes_burst='
complete -c storageos -n '__storageos_verb get; and not __storageos_at get' -a 'uuid write_cache description label. user.
    reserve scrub_rate frontend read_iops read_iops_burst read_bytes read_bytes_burst write_iops write_iops_burst write_bytes
    write_bytes_burst'
complete -c storageos -n '__storageos_at export _; or __storageos_at import _' -F
for verb in diff export rollback clone
    complete -c storageos -n "__storageos_at $verb" -a '(__storageos_snapshots)'
end
complete -c storageos -n '__storageos_at snapshot' -a 'create list delete rename hold release run'
complete -c storageos -n '__storageos_verb snapshot; and __storageos_at _ create' -a '(__storageos_volumes list)@'
complete -c storageos -n '__storageos_at snapshot list' -a '(__storageos_volumes list)'
for verb in delete rename hold release
    complete -c storageos -n "__storageos_at snapshot $verb" -a '(__storageos_snapshots)'
end
