//! Reasons that `check` finds: values, the agent, the clients of a shell.

use registry_agent::domain::reasons::client::NearestLogin;
use registry_agent::domain::reasons::{AgentReason, ClientReason, SourcedVariable, ValueReason};

use super::{Sample, sample};

pub(super) fn values() -> Vec<Sample> {
    let variable = |field: &str, source: &str| {
        SourcedVariable::new(format!("ACME_CONTAINER_REGISTRY_{field}"), source)
    };
    vec![
        sample(
            ValueReason::FineGrainedToken {
                host: "ghcr.io".to_owned(),
                value: variable("PASSWORD", "sync"),
            },
            "Tokens that begin with github_pat_ have no access to ghcr.io and GitHub Packages. A classic token begins with ghp_.",
        ),
        sample(
            ValueReason::NotAnEcrToken { value: variable("PASSWORD", "sync") },
            "With the user AWS, the password is an ECR token of several hundred characters, and not the secret \
             key of an access key.",
        ),
        sample(
            ValueReason::SecretKeyLength { value: variable("PASSWORD", "sync") },
            "A part of the key is missing, or something was copied with it. AWS will most likely reject it.",
        ),
        sample(
            ValueReason::Email { value: variable("USER", "sync") },
            "Docker Hub knows accounts by their Docker ID, which its website shows at the top right.",
        ),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn steps() -> Vec<Sample> {
    let (user, start) = ("vscode".to_owned(), "registry-agent sync".to_owned());
    let (path, key) = ("/home/vscode/.docker/config.json".to_owned(), "ghcr.io".to_owned());
    vec![
        sample(
            AgentReason::NotStarted { user: user.clone(), start: start.clone() },
            "The dev container Feature starts an agent with the container, and so does a service; elsewhere \
             `registry-agent sync` or `registry-agent start` does.",
        ),
        sample(
            AgentReason::Stopped { user: user.clone(), start: start.clone() },
            "After `registry-agent stop`, the credential helper starts no agent either.",
        ),
        sample(
            AgentReason::Unconfigured {
                path: "/home/vscode/.config/registry-agent/config.toml".to_owned(),
                fault: "/home/vscode/.config/registry-agent/config.toml line 3: unknown key `mod` (did you mean `mode`?)"
                    .to_owned(),
            },
            "A typing error in the configuration keeps an agent from starting, so that no setting is \
             ignored silently. A running agent keeps the configuration it has.",
        ),
        sample(
            AgentReason::Ended {
                user: user.clone(),
                last: "its log /home/vscode/.local/state/registry-agent/agent.log does not say why"
                    .to_owned(),
                start: "sudo systemctl start registry-agent".to_owned(),
            },
            "Agent and supervisor were killed together, or the container was restarted.",
        ),
        sample(
            AgentReason::Sudo {
                user: user.clone(),
                config: "/root/.docker/config.json".to_owned(),
            },
            "An agent serves its own user. Under `sudo`, docker and its helper run as root.",
        ),
        sample(
            AgentReason::Foreign {
                socket: "/run/registry-agent/agent.sock".to_owned(),
                owner: user.clone(),
                user: "builder".to_owned(),
            },
            "An agent serves its own user and root.",
        ),
        sample(
            AgentReason::NoDirectory {
                user: user.clone(),
                fault: "/tmp/registry-agent-1000: it belongs to uid 0, who has to remove it"
                    .to_owned(),
                missing: None,
            },
            "/tmp, /dev/shm and /var/tmp are not writable, or another user made the directory.",
        ),
        sample(
            AgentReason::NoDirectory {
                user: user.clone(),
                fault: "/run/user/1000/agents, where REGISTRY_AGENT_SOCKET is, does not exist"
                    .to_owned(),
                missing: Some("/run/user/1000/agents".to_owned()),
            },
            "The agent creates its socket, but not the directory that you chose for it.",
        ),
        sample(
            AgentReason::SharedUid { uid: 65534 },
            "The agent gives its credentials to one user ID, which stands for several users here. The command runs in a \
             user namespace without its user, as after `unshare --user`, or as `nobody` in a container with a user namespace.",
        ),
        sample(
            AgentReason::Silent {
                stopped_supervisor: None,
                fault: "the agent did not respond in time".to_owned(),
                agent: Some(4321),
            },
            "The agent is stopped by a debugger or a signal, or the machine is out of memory.",
        ),
        sample(
            AgentReason::Silent {
                stopped_supervisor: None,
                fault: "the agent did not respond in time".to_owned(),
                agent: None,
            },
            "The agent is stopped, and its supervisor cannot be found, for example because /proc hides it.",
        ),
        sample(
            AgentReason::OtherVersion { agent: "1.0.0".to_owned(), program: "1.1.0".to_owned() },
            "The agent was started before the programs were replaced.",
        ),
        sample(
            AgentReason::ShellDiffers {
                variables: "ACME_CONTAINER_REGISTRY_USER, ACME_CONTAINER_REGISTRY_PASSWORD"
                    .to_owned(),
            },
            "The variables were changed after the last `registry-agent sync`.",
        ),
        sample(
            ClientReason::NotUnderstood {
                text: "ghcr.io/Org/App:v1".to_owned(),
                fault: "is not a valid image name: repository names are lower case".to_owned(),
                meant: Some("ghcr.io/org/app:v1".to_owned()),
            },
            "docker, podman and registries do not accept such a name either.",
        ),
        sample(
            ClientReason::NotUnderstood {
                text: "my image".to_owned(),
                fault: "is neither a name, nor a server, nor an image".to_owned(),
                meant: None,
            },
            "`check` takes the name of a set of variables, a server or an image.",
        ),
        sample(
            ClientReason::NotDeclared { server: "ghcr.io".to_owned(), meant: None },
            "The agent logs in to declared registries only.",
        ),
        sample(
            ClientReason::NotCovered {
                url: "https://nexus.example.com/repository/npm/".to_owned(),
                nearest: Some(Box::new(NearestLogin {
                    name: "ACME".to_owned(),
                    meant: "https://nexus.example.com/repository/npm-group/".to_owned(),
                    differs: vec!["the path /repository/npm-group/".to_owned()],
                    change: Some([
                        "ACME_PACKAGE_REGISTRY_SERVER".to_owned(),
                        "https://nexus.example.com/repository/npm-group/".to_owned(),
                        "https://nexus.example.com/repository/npm/".to_owned(),
                    ]),
                })),
                below: Vec::new(),
            },
            "The login of a package registry answers for the URLs below its own, with the same scheme, host and \
             port.",
        ),
        sample(
            ClientReason::NotCovered {
                url: "https://nexus.example.com/".to_owned(),
                nearest: None,
                below: vec!["ACME".to_owned(), "CRATES".to_owned()],
            },
            "The URL is that of a host, of which each login has a part.",
        ),
        sample(
            ClientReason::OtherUser {
                url: "https://pypi.example.com/simple/".to_owned(),
                name: "ACME".to_owned(),
                user: "ci".to_owned(),
            },
            "pip, uv and git name the user of the URL to the agent, which does not give the login of one user to \
             another.",
        ),
        sample(
            ClientReason::NotDeclared {
                server: "ghrc.io".to_owned(),
                meant: Some("ghcr.io/org/app:v1".to_owned()),
            },
            "The server is mistyped, perhaps also where the image is named.",
        ),
        sample(
            ClientReason::NoSuchName { name: "ACME".to_owned(), meant: None },
            "The name is the part of the variables before _CONTAINER_REGISTRY_ or _PACKAGE_REGISTRY_. Variables that are set in a \
             shell, but not exported, are invisible to `registry-agent sync` and to any other program.",
        ),
        sample(
            ClientReason::NoSuchName { name: "AMCE".to_owned(), meant: Some("ACME".to_owned()) },
            "The name is mistyped.",
        ),
        sample(ClientReason::NothingDeclared, "The agent has found no variables in any source."),
        sample(
            ClientReason::NotSynced { name: "ACME".to_owned() },
            "The agent knows the variables of a shell only after `registry-agent sync`.",
        ),
        sample(
            ClientReason::NotPublished { path: path.clone(), key: key.clone() },
            "Another program removed the entry, and the agent could not put it back.",
        ),
        sample(
            ClientReason::OtherConfiguration {
                path: "/tmp/build/config.json".to_owned(),
                written: path,
            },
            "DOCKER_CONFIG of this shell differs from what the agent was told.",
        ),
        sample(
            ClientReason::NoHome {
                path: "/.docker/config.json".to_owned(),
                written: "/home/vscode/.docker/config.json".to_owned(),
            },
            "A program was started with an environment of its own, without HOME.",
        ),
        sample(
            ClientReason::RootConfiguration {
                path: "/root/.docker/config.json".to_owned(),
                key: key.clone(),
                directory: "/home/vscode/.docker".to_owned(),
            },
            "Under `sudo`, docker reads the configuration of root.",
        ),
        sample(
            ClientReason::HelperFails {
                path: "/usr/local/bin/docker-credential-registry-agent".to_owned(),
                fault: "Exec format error (os error 8)".to_owned(),
            },
            "The program is for another processor, was copied incompletely, or is another program of the same \
             name.",
        ),
        sample(
            ClientReason::HelperVersion {
                path: "/usr/local/bin/docker-credential-registry-agent".to_owned(),
                helper: "1.0.0".to_owned(),
                program: "1.1.0".to_owned(),
            },
            "Only one of the two programs was replaced, or another directory comes first on PATH.",
        ),
        sample(
            ClientReason::NotSetUp {
                client: "cargo".to_owned(),
                fault: "CARGO_REGISTRY_GLOBAL_CREDENTIAL_PROVIDERS does not name cargo-credential-registry-agent".to_owned(),
                fix: "run `export CARGO_REGISTRY_GLOBAL_CREDENTIAL_PROVIDERS='cargo:token /usr/local/bin/cargo-credential-registry-agent'`".to_owned(),
            },
            "A package client asks the agent if its settings name a program of the agent. In a dev container, the \
             Feature sets the variables; elsewhere, put the command of the fix into your shell's profile.",
        ),
        sample(
            ClientReason::NotServed {
                key: key.clone(),
                fault: "credentials not found in native keychain".to_owned(),
            },
            "The helper reaches another agent than `check`, or none.",
        ),
        sample(
            ClientReason::OtherServed { key },
            "The helper reaches another agent than `check`, or falls back to a plain login in the docker \
             configuration.",
        ),
    ]
}
