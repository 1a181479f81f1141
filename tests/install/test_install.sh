#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# test_install.sh MESON BUILD SOURCE [GUEST]: what 'meson install' puts down is
# enough to compile against, with pkg-config alone, from C99 and C++, and to run
# from: the library finds its visor-vmm where it was put.
set -u
meson=$1 build=$2 source=$3 guest=${4:+$(realpath "$4")}
work=$(mktemp -d "${TMPDIR:-/tmp}/visor-install.XXXXXX")
trap 'rm -rf "$work"' EXIT
dest=$work/dest

fail() {
    echo "FAIL: $*"
    [ -s "$work/log" ] && tail -n 40 "$work/log"
    exit 1
}

"$meson" install -C "$build" --no-rebuild --quiet --destdir "$dest" \
    >"$work/log" 2>&1 || fail "meson install"

pc=$(find "$dest" -name libvisor.pc)
[ -n "$pc" ] || fail "no libvisor.pc"
export PKG_CONFIG_PATH=${pc%/*}
prefix=$dest$(pkg-config --variable=prefix libvisor) || fail "pkg-config"
libdir=$dest$(pkg-config --variable=libdir libvisor)
export LD_LIBRARY_PATH=$libdir PKG_CONFIG_SYSROOT_DIR=$dest

for file in bin/vctl libexec/visor-vmm share/man/man1/vctl.1 \
    share/bash-completion/completions/vctl share/libvisor/schema/domain.rng \
    include/visor/visor.h; do
    [ -s "$prefix/$file" ] || fail "no $file"
done

# --- programs, as a user compiles them --------------------------------------
read -ra flags <<<"$(pkg-config --cflags --libs libvisor)"
case " ${flags[*]} " in *glib*) fail "a program would need GLib: ${flags[*]}" ;; esac

for example in "$source"/examples/*.c; do
    name=$(basename "$example" .c)
    "${CC:-cc}" -std=c99 -pedantic-errors -Wall -Werror -o "$work/$name" \
        "$example" "${flags[@]}" >"$work/log" 2>&1 ||
        fail "$name.c does not compile as C99"
done

cat >"$work/program.cpp" <<'END'
#include <visor/visor.h>
#include <cstdio>
int main()
{
    visor_connection *conn = nullptr;
    visor_error *err = nullptr;
    if (visor_connection_open("emu:///embed?", 99, &conn, &err) == 0)
        return 1;
    std::printf("%s: %s\n", visor_version(), visor_error_get_message(err));
    visor_error_free(err);
    return 0;
}
END
if command -v "${CXX:-c++}" >/dev/null; then
    "${CXX:-c++}" -pedantic-errors -Wall -Werror -o "$work/program" \
        "$work/program.cpp" "${flags[@]}" >"$work/log" 2>&1 ||
        fail "a C++ program does not compile"
    "$work/program" >"$work/log" 2>&1 || fail "the C++ program does not run"
fi

# --- running it ----------------------------------------------------------------
"$prefix/bin/vctl" version >"$work/log" 2>&1 || fail "vctl version"
if [ -n "$guest" ]; then
    timeout 60 "$work/embed_kernel" "$guest" "$guest" >"$work/log" 2>&1 ||
        fail "embed_kernel does not run"
    grep -q "tiny: goodbye" "$work/log" || fail "the guest said nothing"
    vctl() { timeout 60 "$prefix/bin/vctl" -c "emu:///session?root=$work/root" "$@" >"$work/log" 2>&1; }
    cat >"$work/domain.xml" <<END
<domain type='emu'><name>installed</name><memory unit='MiB'>16</memory>
<os><type>hvm</type><kernel>$guest</kernel><cmdline>h</cmdline></os></domain>
END
    vctl define "$work/domain.xml" && vctl start installed ||
        fail "vctl start: is visor-vmm found?"
    found=''
    for process in /proc/[0-9]*; do
        [ "$(readlink "$process/exe")" = "$prefix/libexec/visor-vmm" ] && found=yes
    done 2>/dev/null
    vctl destroy installed || fail "vctl destroy"
    [ -n "$found" ] || fail "the domain's process is not the installed one"
fi
echo "ok: installed, compiled against, ran"
