#!/bin/bash
# The logins are in plain text in the docker configuration, because the options say so.
set -e

# shellcheck source=/dev/null # the Dev Container CLI puts it there
source dev-container-features-test-lib

login() { grep -q "$(printf puller:not-a-secret | base64)" ~/.docker/config.json; }

check "the login is in the docker configuration" login
check "no helper is in the docker configuration" bash -c '! grep -q credHelpers ~/.docker/config.json'

reportResults
