#!/bin/bash
# The remote user is root.
set -e

# shellcheck source=/dev/null # the Dev Container CLI puts it there
source dev-container-features-test-lib
# shellcheck source=tests/feature/login.sh
source ./login.sh

check "root runs the test" test "$(id -un)" = root
check "the agent serves root" serves_login
check "docker is configured for root" grep -q registry-agent /root/.docker/config.json

reportResults
