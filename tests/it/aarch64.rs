//! The programs for aarch64, which `qemu` runs: from the installation to a refreshed token.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use jiff::SignedDuration;

use crate::support::aws::FakeAws;
use crate::support::machine::Machine;
use crate::support::registry::{Auth, Registry};
use crate::support::test_home::{credential, output_text, run_with_input, succeed};

const ECR: &str = "111122223333.dkr.ecr.eu-west-1.amazonaws.com";
const KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const LOGIN: (&str, &str) = ("puller", "secret");

/// Lets the kernel run programs for aarch64 with `qemu`, visible only to these processes.
const EMULATE: &str = r#"
[ "$(/bin/uname -m)" = aarch64 ] && exec "$@"
mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
printf '%s' ':aarch64:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:/usr/bin/qemu-aarch64-static:F' > /proc/sys/fs/binfmt_misc/register
exec "$@"
"#;

/// Runs a command in which programs for aarch64 work.
fn emulated(
    machine: &Machine,
    command: &[&str],
    variables: &[(String, String)],
    input: &str,
) -> Output {
    let mut emulated = Command::new("/usr/bin/unshare");
    emulated
        .args(["--map-root-user", "--mount", "/bin/sh", "-euc", EMULATE, "sh"])
        .args(command)
        .env_clear()
        .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", machine.path("tools").display()))
        .env("HOME", "/root")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs(variables.iter().map(|(name, value)| (name, value)));
    run_with_input(&mut emulated, input)
}

#[test]
#[ignore = "needs the programs for aarch64 that `make test` builds"]
fn it_installs_starts_logs_in_and_refreshes_a_token() {
    let machine = Machine::new();
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("dist/registry-agent");
    fs::remove_dir_all(machine.path("package")).unwrap();
    succeed(Command::new("cp").arg("-r").arg(dist).arg(machine.path("package")));
    machine.fake("uname", "echo aarch64");

    let registry = Registry::start(&Auth::Htpasswd(&[LOGIN]), None);
    let aws = FakeAws::start();
    aws.state().token_life = SignedDuration::from_secs(8);
    aws.add_key(KEY, "secret", None);
    let mut variables = aws.variables();
    for (name, server, user, password) in
        [("OWN", registry.server(), LOGIN.0, LOGIN.1), ("WORK", ECR.to_owned(), KEY, "secret")]
    {
        for (field, value) in [("SERVER", &*server), ("USER", user), ("PASSWORD", password)] {
            variables.push((format!("{name}_CONTAINER_REGISTRY_{field}"), value.to_owned()));
        }
    }
    let run = |command: &[&str]| {
        let output = emulated(&machine, command, &variables, "");
        assert!(output.status.success(), "{command:?}: {}", output_text(&output));
        output_text(&output)
    };

    let script = machine.path("package/install.sh");
    assert!(run(&["/bin/dash", script.to_str().unwrap()]).contains(" is installed."));
    let machine_of = |program: &str| fs::read(program).unwrap()[18];
    assert_eq!(machine_of("/usr/local/bin/registry-agent"), 183, "it is not a program for aarch64");

    run(&["registry-agent", "start"]);
    run(&["registry-agent", "wait", "OWN"]);
    let get = |server: &str| {
        let helper = ["docker-credential-registry-agent", "get"];
        credential(&emulated(&machine, &helper, &[], server))
    };
    assert_eq!(get(&registry.server()), Some((LOGIN.0.to_owned(), LOGIN.1.to_owned())));
    let (user, first) = get(ECR).expect("no token");
    assert_eq!(user, "AWS");
    let next = (0..600).find_map(|_| {
        std::thread::park_timeout(Duration::from_millis(100));
        get(ECR).filter(|(_, token)| *token != first)
    });
    assert!(next.is_some() && aws.calls_of("ecr") > 1, "the token was not refreshed");
    run(&["/bin/dash", "/usr/local/share/registry-agent/install.sh", "uninstall"]);
    assert!(!Path::new("/usr/local/bin/registry-agent").exists());
}
