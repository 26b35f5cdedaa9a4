# Paths and functions for the other scripts, which source this file.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
# Read by the scripts that source this file.
# shellcheck disable=SC2034
venv=$target/venv npm=$target/npm tools=$target/tools promtool=$target/promtool/promtool

# say TEXT...: prints one line of progress.
say() { printf '\033[1m==>\033[0m %s\n' "$*" | plain_unless_terminal >&2; }

# fail TEXT...: prints an error and exits.
fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

plain_unless_terminal() {
    if [ -t 2 ] && [ -z "${NO_COLOR:-}" ]; then cat; else sed 's/\x1b\[[0-9;]*m//g'; fi
}

# compiler_for ARCH...: prints the first compiler that has the standard library of all these architectures.
compiler_for() {
    local compiler arch
    for compiler in "${RUSTC:-rustc}" /usr/bin/rustc; do
        for arch in "$@"; do
            has_target "$compiler" "$arch-unknown-linux-gnu" || continue 2
        done
        command -v "$compiler"
        return
    done
    return 1
}

has_target() {
    local directory
    directory=$("$1" --print target-libdir --target "$2" 2> /dev/null) && compgen -G "$directory/libstd-*.rlib" > /dev/null
}

# quietly COMMAND...: shows the output only if the command fails.
quietly() {
    local log
    log=$("$@" 2>&1) || fail "$log"
}

# archive FILE DIRECTORY: a tar archive of what is in a directory, with the same bytes for the same content.
archive() {
    tar --create --file "$1" --directory "$2" --sort=name --format=ustar --owner=0 --group=0 --numeric-owner \
        --mode=u+rwX,go+rX,go-w --mtime="@$(source_date)" .
}

# The time of the last commit, for files in packages: a build at another time gives the same package.
source_date() {
    printf '%s\n' "${SOURCE_DATE_EPOCH:-$(git -C "$root" log -1 --format=%ct 2> /dev/null || echo 0)}"
}

# as_root COMMAND...: runs a command as root, with sudo if necessary.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo > /dev/null; then
        sudo "$@"
    else
        fail "this requires root, and sudo is not installed: run as root: $*"
    fi
}

# stop_pid PID SECONDS: terminates a process, and kills it if it is still running after SECONDS.
stop_pid() {
    local pid=$1 seconds=${2:-5} i
    as_root kill "$pid" 2> /dev/null || return 0
    for ((i = 0; i < seconds * 10; i++)); do
        as_root kill -0 "$pid" 2> /dev/null || return 0
        sleep 0.1
    done
    as_root kill -KILL "$pid" 2> /dev/null || true
}
