#!/bin/sh
# Installs the Feature into an image, as root, while the image is built.
#
# All files come from the Feature's own directory: nothing is downloaded, and the image needs only a POSIX
# shell with cp, mkdir, chmod and uname. No option contains a secret, because the build log shows the
# values of options.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
prefix=/usr/local
config=/etc/registry-agent/config.toml

main() {
    install_programs
    install_scripts
    install_manual
    write_config
    version=$("$prefix/bin/registry-agent" --version) || fail "the installed programs cannot run on this machine"
    echo "$version is installed for the user $(remote_user)"
}

install_programs() {
    machine=$(uname -m)
    case $machine in
        x86_64 | amd64) arch=x86_64 ;;
        aarch64 | arm64) arch=aarch64 ;;
        *) fail "there is no build for $machine: use an x86_64 or aarch64 image" ;;
    esac
    [ -d "$here/bin/$arch" ] || fail "this package contains no build for $arch: install a package that does"

    mkdir -p "$prefix/bin"
    for program in registry-agent docker-credential-registry-agent; do
        # A running program cannot be written to, but its name can be given to another file.
        cp "$here/bin/$arch/$program" "$prefix/bin/.$program.new"
        chmod 0755 "$prefix/bin/.$program.new"
        mv -f "$prefix/bin/.$program.new" "$prefix/bin/$program"
    done
}

install_scripts() {
    mkdir -p "$prefix/share/registry-agent"
    for script in entrypoint hook; do
        cp "$here/feature/$script" "$prefix/share/registry-agent/$script"
        chmod 0755 "$prefix/share/registry-agent/$script"
    done
}

# Manual pages and shell completions.
install_manual() {
    [ ! -d "$here/share" ] || cp -R "$here/share/." "$prefix/share/"
}

# An existing configuration is kept, because it may be part of the base image.
write_config() {
    if [ -e "$config" ]; then
        echo "registry-agent: $config already exists; left unchanged"
        return
    fi
    mode=$(one_of mode "${MODE:-helper}" helper auths)
    verify=$(one_of verify "${VERIFY:-true}" true false)
    github_token=$(one_of githubToken "${GITHUBTOKEN:-true}" true false)
    log_level=$(one_of logLevel "${LOGLEVEL:-info}" error warn info debug trace)
    user=$(remote_user)

    mkdir -p "${config%/*}"
    cat > "$config" << TOML
# Created when the Feature was installed. ~/.config/registry-agent/config.toml overrides it.
user = "$user"
mode = "$mode"
verify = $verify
github_token = $github_token
log_level = "$log_level"
TOML
    chmod 0644 "$config"
}

# The name of the user that the tools run as. It is not the number, because the number may change after
# this script has run.
remote_user() {
    user=${_REMOTE_USER:-${_CONTAINER_USER:-root}}
    user=${user%%:*}
    case $user in
        '' | *[!0-9]*) ;;
        *) user=$(name_of_uid "$user") ;;
    esac
    case $user in
        '') user=root ;;
        *[\"\\]*) fail "the name of the remote user contains a quote or a backslash" ;;
    esac
    printf '%s\n' "$user"
}

# The name of a user ID in /etc/passwd, or the ID itself if it has no name.
name_of_uid() {
    if [ -r /etc/passwd ]; then
        while IFS=: read -r name _ uid _; do
            if [ "$uid" = "$1" ]; then
                printf '%s\n' "$name"
                return
            fi
        done < /etc/passwd
    fi
    printf '%s\n' "$1"
}

# Prints the value of an option if it is one of the allowed values.
one_of() {
    option=$1
    value=$2
    shift 2
    for allowed in "$@"; do
        if [ "$value" = "$allowed" ]; then
            printf '%s\n' "$value"
            return
        fi
    done
    fail "the option $option must be one of: $*"
}

fail() {
    echo "registry-agent: $*" >&2
    exit 1
}

main
