#!/bin/bash
# `devcontainer features test --features registry-agent --project-folder dist` runs this in a container
# with the Feature, after its hooks.
set -e

# shellcheck source=/dev/null # the Dev Container CLI puts it there
source dev-container-features-test-lib

check "the agent is on PATH" registry-agent --version
check "the helper is on PATH" docker-credential-registry-agent version
check "an agent runs" registry-agent status --json
check "the hook may run again" /usr/local/share/registry-agent/hook
check "the entrypoint may run again" /usr/local/share/registry-agent/entrypoint

reportResults
