# shellcheck shell=bash
# For the scenarios that declare a login.

serves_login() {
    printf 127.0.0.1:1 | docker-credential-registry-agent get | grep -q '"Secret":"not-a-secret"'
}
