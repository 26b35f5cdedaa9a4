#!/bin/sh
# Installs registry-agent as root, from the directory that this script is in:
#
#   sh install.sh              in an image while it is built, as a Dev Container Feature, or on a machine
#   sh install.sh uninstall    removes everything, also what the agent wrote for each user
#
# Nothing is downloaded. The image needs only a POSIX shell with cat, chmod, cp, dirname, id, ln, mkdir, mv, rm,
# rmdir and uname. Installing twice, or over another version, is safe. No option contains a secret, because the
# build log shows the values of options.
set -eu
umask 022

here=$(cd "$(dirname "$0")" && pwd)
prefix=/usr/local
data=$prefix/share/registry-agent
config=/etc/registry-agent/config.toml
newline='
'
# What is installed: files by their path, and the directories that were created, with a slash at the end.
installed=$newline

main() {
    [ "$(id -u)" = 0 ] || fail "only root can install or uninstall: run \`sudo sh $0 $*\`"
    case ${1:-install} in
        install) install ;;
        uninstall) uninstall ;;
        *) fail "unknown argument $1: use \`sh $0\` or \`sh $0 uninstall\`" ;;
    esac
}

install() {
    find_programs
    check_options
    remember_directories
    # The kernel closes a process to its own user if that user may not read its program.
    put "$programs/registry-agent" "$prefix/bin/registry-agent" 0711
    put "$programs/docker-credential-registry-agent" "$prefix/bin/docker-credential-registry-agent" 0755
    put_links
    for script in entrypoint hook; do
        put "$here/feature/$script" "$data/$script" 0755
    done
    put "$here/install.sh" "$data/install.sh" 0755
    put_tree share
    put_tree lib
    ! is_feature || write_config
    forget_old_version
    remove_other_builds
    ! has_systemd || systemctl daemon-reload || true
    if is_feature; then
        echo "$version is installed for the user $(remote_user)"
    else
        say_what_is_next
    fi
}

say_what_is_next() {
    echo "$version is installed. Run \`registry-agent start\` as the user who uses docker."
    if has_systemd; then
        echo "To let systemd run the agent from boot on, run one of these instead:"
        echo "  systemctl --user enable --now registry-agent    as the user who uses docker"
        echo "  sudo systemctl enable --now registry-agent      for root"
    fi
    echo "To remove it, run \`sudo sh $data/install.sh uninstall\`."
}

# A program that does not run here is not installed over one that does.
find_programs() {
    machine=$(uname -m)
    case $machine in
        x86_64 | amd64) arch=x86_64 ;;
        aarch64 | arm64) arch=aarch64 ;;
        *) fail "there is no build for $machine: use an x86_64 or aarch64 image or machine" ;;
    esac
    programs=$here/bin/$arch
    [ -d "$programs" ] || fail "this package contains no build for $arch: install a package that does"
    version=$("$programs/registry-agent" --version) ||
        fail "the programs for $arch cannot run on this machine"
}

# The Dev Container CLI and other builders name the user. Without one, this is no Feature, and variables such as MODE
# mean something else.
is_feature() {
    [ -n "${_REMOTE_USER:-}${_CONTAINER_USER:-}" ]
}

# Names every wrong option, before anything is installed.
check_options() {
    is_feature || return 0
    wrong=
    check_option mode "${MODE:=helper}" helper auths
    check_option verify "${VERIFY:=true}" true false
    check_option githubToken "${GITHUBTOKEN:=true}" true false
    check_option logLevel "${LOGLEVEL:=info}" error warn info debug trace
    check_option logFormat "${LOGFORMAT:=text}" text json
    case $(remote_user) in
        *[\"\\[:cntrl:]]*) wrong="$wrong${newline}the name of the remote user contains a quote, a backslash or a control character" ;;
    esac
    [ -z "$wrong" ] || fail "nothing is installed:$wrong"
}

# check_option NAME VALUE ALLOWED...
check_option() {
    option=$1
    value=$2
    shift 2
    for allowed in "$@"; do
        [ "$value" != "$allowed" ] || return 0
    done
    wrong="$wrong${newline}the option $option is \"$value\"; set it to one of: $*"
}

# A configuration that the user changed is kept. That of an earlier installation is replaced, because the
# Feature may be in the base image too, with other options or for another user.
write_config() {
    text="# Created when the Feature was installed. ~/.config/registry-agent/config.toml overrides it.
user = \"$(remote_user)\"
mode = \"$MODE\"
verify = $VERIFY
github_token = $GITHUBTOKEN
log_level = \"$LOGLEVEL\"
log_format = \"$LOGFORMAT\""
    if [ -e "$config" ] && ! is_as_installed "$config"; then
        echo "registry-agent: $config was not changed, because it is not as the Feature created it"
        return
    fi
    for file in "$config" "$data/config.toml"; do
        make_directory "${file%/*}"
        printf '%s\n' "$text" > "$file"
        installed="$installed$file$newline"
    done
}

is_as_installed() {
    [ -e "$data/config.toml" ] && [ "$(cat "$1")" = "$(cat "$data/config.toml")" ]
}

# The name of the user that the tools run as. It is not the number, because the number may change after
# this script has run. The user may not exist yet.
remote_user() {
    user=${_REMOTE_USER:-${_CONTAINER_USER:-root}}
    user=${user%%:*}
    case $user in
        '') user=root ;;
        *[!0-9]*) ;;
        *) user=$(name_of_uid "$user") ;;
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

# put_tree DIRECTORY: installs every file of a directory of this package below the prefix.
put_tree() {
    for entry in "$here/$1"/*; do
        if [ -d "$entry" ]; then
            put_tree "${entry#"$here/"}"
        elif [ -f "$entry" ]; then
            put "$entry" "$prefix/${entry#"$here/"}" 0644
        fi
    done
}

# put FROM TO MODE: a running program cannot be written to, but its name can be given to another file.
put() {
    make_directory "${2%/*}"
    cp "$1" "$2.new"
    chmod "$3" "$2.new"
    mv -f "$2.new" "$2"
    installed="$installed$2$newline"
}

# The helper knows by its name who asks. Each line of the list is a name and what it links to.
put_links() {
    while read -r name target; do
        link=$prefix/$name
        make_directory "${link%/*}"
        ln -sf "$target" "$link.new"
        mv -f "$link.new" "$link"
        installed="$installed$link$newline"
    done < "$here/feature/links"
}

make_directory() {
    [ ! -d "$1" ] || return 0
    make_directory "${1%/*}"
    mkdir "$1"
    installed="$installed$1/$newline"
}

# The directories that an earlier installation created are still ours.
remember_directories() {
    [ -r "$data/installed" ] || return 0
    while read -r path; do
        case $path in
            */) installed="$installed$path$newline" ;;
        esac
    done < "$data/installed"
}

# Removes the files of another version that this one does not have, and records those that it has.
forget_old_version() {
    installed="$installed$data/installed$newline"
    if [ -r "$data/installed" ]; then
        while read -r path; do
            case $installed in
                *"$newline$path$newline"*) ;;
                *) [ "$path" = "$config" ] || rm -f "$path" ;;
            esac
        done < "$data/installed"
    fi
    printf '%s' "${installed#"$newline"}" > "$data/installed.new"
    mv -f "$data/installed.new" "$data/installed"
}

# Some builders leave the Feature's directory in the image, with the programs of both architectures.
remove_other_builds() {
    case $here in
        /tmp/dev-container-features/*) rm -rf "${here:?}/bin" ;;
    esac
}

uninstall() {
    [ -r "$data/installed" ] || fail "registry-agent is not installed in $prefix"
    disable_services
    all_is_reset=yes
    # What one user has must not keep the programs on the machine.
    "$prefix/bin/registry-agent" reset --all-users || all_is_reset=no
    remove_config
    directories=
    helper=$prefix/bin/docker-credential-registry-agent
    while read -r path; do
        case $path in
            */) directories="$path $directories" ;;
            "$config") ;;
            # Without it, docker fails where a configuration still names it.
            "$helper") [ "$all_is_reset" = no ] || rm -f "$path" ;;
            *) rm -f "$path" ;;
        esac
    done < "$data/installed"
    # The innermost first, because each was created after the one around it.
    for directory in $directories; do
        rmdir "$directory" 2> /dev/null || true
    done
    [ "$all_is_reset" = yes ] || fail "registry-agent is removed, except for what is named above and $helper, because a docker configuration \
may still name it; remove these by hand"
    echo "registry-agent is removed"
}

disable_services() {
    ! has_systemd || systemctl --quiet disable --now registry-agent.service 2> /dev/null || true
}

has_systemd() {
    [ -d /run/systemd/system ] && command -v systemctl > /dev/null
}

remove_config() {
    [ -e "$config" ] || return 0
    if is_as_installed "$config"; then
        rm -f "$config"
    else
        echo "registry-agent: $config stays, because it was changed; to remove it, run \`rm -r ${config%/*}\`"
    fi
}

fail() {
    echo "registry-agent: $*" >&2
    exit 1
}

main "$@"
