#!/bin/bash
# The container has a user who is not root, and no sudo.
set -e

# shellcheck source=/dev/null # the Dev Container CLI puts it there
source dev-container-features-test-lib
# shellcheck source=tests/feature/login.sh
source ./login.sh

check "the user is not root" test "$(id -un)" = dev
check "there is no sudo" bash -c '! command -v sudo'
check "the agent serves the user" serves_login
check "docker is configured for the user" grep -q registry-agent /home/dev/.docker/config.json

reportResults
