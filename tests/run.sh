#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# run.sh [--quick|--asan|--tsan|--builds|--lab] [NAME…]: installs what is
# missing, builds, runs the tests.
#
#   --quick   the unit, API, vctl and short boot tests: under 3 minutes
#   --asan    in an ASan+UBSan build instead
#   --tsan    what has threads, in a TSan build
#   --builds  only the build matrix: compilers and sets of drivers
#   --lab     only the labs (the kvm engine on real kvm-amd inside of QEMU), with
#             what they leave out otherwise
#   (none)    normal build, all tests; ASan+UBSan build, all but boots and labs;
#             the build matrix
# NAMEs are passed to 'meson test'. The last line is the sum of all; before it is
# a line for each build, and why tests were skipped.
set -uo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
mode=full
while [ $# -gt 0 ]; do
    case $1 in
    --quick) mode=quick ;;
    --asan) mode=asan ;;
    --tsan) mode=tsan ;;
    --builds) mode=builds ;;
    --lab) mode=lab ;;
    -h | --help) sed -n '3,16s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) echo "run.sh: unknown option '$1'" >&2; exit 2 ;;
    *) break ;;
    esac
    shift
done

# shellcheck source=support/deps.sh
. "$top/tests/support/deps.sh"
need build guest test || exit 1

# make_debian: a test's guest, in the background: that takes minutes, but not of
# our processors. Who needs it waits for it, and says why if there is none.
make_debian() {
    need debian || return
    mkdir -p "$top/build-test/guest"
    "$top/tests/guests/make-debian.sh" "$top/build-test/guest" \
        >"$top/build-test/guest/debian.log" 2>&1 </dev/null &
}

total_passed=0 total_failed=0 total_skipped=0
summary=$(mktemp)
trap 'rm -f "$summary"' EXIT

# configure DIR OPTIONS…
configure() {
    local dir=$1
    shift
    [ -f "$dir/build.ninja" ] && return 0
    meson setup "$dir" "$top" --werror "$@" >"$dir.log" 2>&1 || {
        cat "$dir.log"
        return 1
    }
    rm -f "$dir.log"
}

# test_in DIR MESON-TEST-ARGUMENTS…: builds, tests, adds up meson's counts.
test_in() {
    local dir=$1 log=$1/run-tests.log start=$SECONDS passed failed skipped
    shift
    ninja -C "$dir" >"$dir/run-build.log" 2>&1 || {
        tail -n 60 "$dir/run-build.log"
        total_failed=$((total_failed + 1))
        echo "${dir##*/}: does not build" >>"$summary"
        return 1
    }
    meson test -C "$dir" --no-rebuild --print-errorlogs "$@" 2>&1 | tee "$log"
    count() { awk -v k="$1" '$1 == k {n += $2} END {print n + 0}' "$log"; }
    passed=$(($(count Ok:) + $(count 'Expected')))
    failed=$(($(count Fail:) + $(count Timeout:) + $(count Unexpected)))
    skipped=$(count Skipped:)
    total_passed=$((total_passed + passed))
    total_failed=$((total_failed + failed))
    total_skipped=$((total_skipped + skipped))
    {
        echo "${dir##*/}: $passed passed, $failed failed, $skipped skipped," \
            "$((SECONDS - start)) s"
        awk '$1 ~ /^[0-9]+\/[0-9]+$/ && / (FAIL|TIMEOUT|ERROR|INTERRUPT) / {
            print "  " $0}' "$log"
        grep -h '^skipped: ' "$dir/meson-logs/testlog.txt" | sort -u |
            sed 's/^/  /'
    } >>"$summary" 2>/dev/null
}

# sanitized DIR SANITIZERS MESON-TEST-ARGUMENTS…: the tests in such a build. The
# domains' processes have no stderr, so that all reports go to files; one file
# is one failure.
sanitized() {
    local dir=$1 sanitizers=$2 report options
    shift 2
    configure "$dir" "-Db_sanitize=$sanitizers" -Db_lundef=false || exit 1
    rm -rf "$dir/reports"
    mkdir -p "$dir/reports" "$top/build-test/guest"
    [ -e "$dir/guest" ] || ln -s ../build-test/guest "$dir/guest"
    options=log_path=$dir/reports/report
    (
        export ASAN_OPTIONS="detect_stack_use_after_return=1:$options"
        export UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1:$options"
        export LSAN_OPTIONS=$options TSAN_OPTIONS=$options
        [ "$sanitizers" != thread ] || export G_SLICE=always-malloc
        test_in "$dir" --no-suite boot --no-suite lab --timeout-multiplier 12 \
            "$@"
        echo "$total_passed $total_failed $total_skipped" >"$dir/run-counts"
    )
    read -r total_passed total_failed total_skipped <"$dir/run-counts"
    for report in "$dir"/reports/*; do
        [ -s "$report" ] || continue
        head -n 60 "$report"
        {
            echo "${dir##*/}: a report of the sanitizer"
            grep -E 'ERROR|WARNING|runtime error|SUMMARY|^ +#[0-9]+ ' "$report" |
                head -n 16
        } >>"$summary"
        total_failed=$((total_failed + 1))
    done
}

asan() {
    sanitized "$top/build-asan" address,undefined "$@"
}

# Without the emulator's own tests: guests race by nature.
tsan() {
    sanitized "$top/build-tsan" thread --no-suite slow --no-suite lint \
        --no-suite fuzz --no-suite emu --no-suite engine "$@"
}

# build_in DIR OPTIONS…: that it compiles is the test.
build_in() {
    local dir=$1
    shift
    echo "== build: $*"
    if configure "$dir" "$@" && ninja -C "$dir" >"$dir/run-build.log" 2>&1; then
        total_passed=$((total_passed + 1))
        echo "${dir##*/}: builds" >>"$summary"
    else
        tail -n 60 "$dir/run-build.log" 2>/dev/null
        total_failed=$((total_failed + 1))
        echo "${dir##*/}: does not build" >>"$summary"
    fi
}

builds() {
    CC=clang build_in "$top/build-clang"
    build_in "$top/build-none" -Ddrivers=[]
    CC=clang build_in "$top/build-fuzz" -Dfuzz=true \
        -Db_sanitize=address,undefined -Db_lundef=false
}

case $mode in
quick)
    configure "$top/build-test" -Dbuildtype=debugoptimized || exit 1
    test_in "$top/build-test" --no-suite slow "$@"
    ;;
asan)
    asan "$@"
    ;;
tsan)
    tsan "$@"
    ;;
builds)
    builds
    ;;
lab)
    make_debian
    configure "$top/build-test" -Dbuildtype=debugoptimized || exit 1
    test_in "$top/build-test" --suite lab "$@"
    ;;
full)
    make_debian
    configure "$top/build-test" -Dbuildtype=debugoptimized || exit 1
    test_in "$top/build-test" --no-suite lab-all "$@"
    asan "$@"
    builds
    ;;
esac

echo
echo "== summary"
cat "$summary"
echo "$total_passed passed, $total_failed failed, $total_skipped skipped"
[ "$total_failed" -eq 0 ] && [ "$total_passed" -gt 0 ]
