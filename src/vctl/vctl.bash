# SPDX-License-Identifier: LGPL-2.1-or-later
# Bash completion of vctl: commands and options come from vctl itself.
_vctl() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    local vctl=${COMP_WORDS[0]} command='' connect=() i kind
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        -c | --connect) connect=(-c "${COMP_WORDS[++i]}") ;;
        -*) ;;
        *) command=${COMP_WORDS[i]}; break ;;
        esac
    done
    if [[ $prev == -c || $prev == --connect ]]; then
        mapfile -t COMPREPLY < <(compgen -W "auto:///session auto:///system \
            emu:///session emu:///system kvm:///session kvm:///system" -- "$cur")
        return
    fi
    if [[ -z $command ]]; then
        if [[ $cur == -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W "--connect --json --quiet --help \
                --version" -- "$cur")
        else
            mapfile -t COMPREPLY < <(compgen -W \
                "$("$vctl" help --names 2>/dev/null | cut -f1)" -- "$cur")
        fi
        return
    fi
    if [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W \
            "$("$vctl" help --options "$command" 2>/dev/null)" -- "$cur")
        [[ ${COMPREPLY[0]-} == *= ]] && compopt -o nospace
        return
    fi
    kind=$("$vctl" help --names 2>/dev/null | awk -F'\t' -v c="$command" '$1 == c {print $2}')
    case $kind in
    *DOMAIN*) mapfile -t COMPREPLY < <(compgen -W \
        "$("$vctl" "${connect[@]}" list --all --name 2>/dev/null)" -- "$cur") ;;
    *COMMAND*) mapfile -t COMPREPLY < <(compgen -W \
        "$("$vctl" help --names 2>/dev/null | cut -f1)" -- "$cur") ;;
    *FILE* | *KERNEL*) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
    esac
}
complete -F _vctl vctl
