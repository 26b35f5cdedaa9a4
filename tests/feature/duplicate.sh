#!/bin/bash
# The Feature is installed twice, with different options. The Dev Container CLI passes those of the first
# installation as MODE, and the defaults, which the second one has, as MODE__DEFAULT.
set -e

# shellcheck source=/dev/null # the Dev Container CLI puts it there
source dev-container-features-test-lib

configured() {
    grep -v '^#' /etc/registry-agent/config.toml
}

expected() {
    cat <<END
user = "dev"
mode = "$1"
verify = $2
github_token = $3
log_level = "$4"
log_format = "$5"
END
}

last() {
    local defaults
    defaults=$(expected "$MODE__DEFAULT" "$VERIFY__DEFAULT" "$GITHUBTOKEN__DEFAULT" "$LOGLEVEL__DEFAULT" "$LOGFORMAT__DEFAULT")
    [ "$(configured)" = "$defaults" ] ||
        [ "$(configured)" = "$(expected "$MODE" "$VERIFY" "$GITHUBTOKEN" "$LOGLEVEL" "$LOGFORMAT")" ]
}

check "the options are those of one installation" last
check "an agent runs" registry-agent status --json
check "the helper answers" docker-credential-registry-agent version

reportResults
