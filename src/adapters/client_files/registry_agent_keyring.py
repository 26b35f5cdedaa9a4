"""The backend through which Python's keyring asks registry-agent; the agent writes this file.

For everything that is not a login of the agent, it asks the backend that keyring would choose without it.
"""

import json
import subprocess

from keyring import backend, credentials, errors

HELPER = @HELPER@
NOT_STORED = (
    "registry-agent takes passwords from variables and stores none: set NAME_PACKAGE_REGISTRY_PASSWORD, or, for "
    "a password in poetry's own file, run `poetry config keyring.enabled false`"
)


class Keyring(backend.KeyringBackend):
    # keyring's chain of all backends leaves out those that are not above 0, and this one asks that chain.
    priority = 0

    def get_password(self, service, username):
        login = ask(service, username)
        if login is not None:
            return login["password"]
        other = other_backend()
        return other and other.get_password(service, username)

    def get_credential(self, service, username):
        login = ask(service, username)
        if login is not None:
            return credentials.SimpleCredential(login["username"], login["password"])
        other = other_backend()
        return other and other.get_credential(service, username)

    def set_password(self, service, username, password):
        other = other_backend()
        if other is None or ask(service, username) is not None:
            raise errors.PasswordSetError(NOT_STORED)
        other.set_password(service, username, password)

    def delete_password(self, service, username):
        other = other_backend()
        if other is None or ask(service, username) is not None:
            raise errors.PasswordDeleteError(NOT_STORED)
        other.delete_password(service, username)


def ask(service, username):
    """The login of the agent for a URL, or None. Whatever fails, the other backend is asked."""
    if "://" not in service:
        return None
    arguments = ["keyring-registry-agent", "--mode=creds", "--output=json", "get", service]
    if username:
        arguments.append(username)
    try:
        answer = subprocess.run(
            arguments,
            executable=HELPER,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            timeout=15,
        )
        return json.loads(answer.stdout) if answer.returncode == 0 else None
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def other_backend():
    """The backend that keyring would choose without `keyringrc.cfg`, if it can store anything."""
    others = [found for found in backend.get_all_keyring() if not isinstance(found, Keyring)]
    best = max(others, key=lambda found: found.priority, default=None)
    return best if best is not None and best.priority > 0 else None
