//! `start` and `run`: an agent in the background, or in the foreground.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::Uid;
use sd_notify::NotifyState;

use crate::agent::supervisor::{self, Estate, Herald};
use crate::domain::source::Variables;
use crate::domain::variable;
use crate::edge::client::{self, ClientError};
use crate::edge::clock::Clock;
use crate::edge::config::{self, Config};
use crate::edge::lock::{self, LockError};
use crate::edge::paths::Paths;
use crate::edge::{clock, memory, passwd, socket, sys};
use crate::wire::memory::{Memory, reveal};

/// What the supervisor says to the `start` that waits for it.
const READY: &[u8; 5] = b"ready";
/// How long `start` waits for an agent that answers.
const PATIENCE: Duration = Duration::from_secs(30);
/// A log that grew beyond this is begun anew.
const LONGEST_LOG: u64 = 4 * 1024 * 1024;
/// Under this name systemd keeps the state of an agent.
const STORED_STATE: &str = "state";

/// `registry-agent start`
pub fn start(unless_stopped: bool) -> anyhow::Result<ExitCode> {
    let (paths, _config) = settle()?;
    if !unless_stopped {
        lock::set_stopped(&paths, false)?;
    }
    ensure(&paths, &matching_environment(), unless_stopped)?;
    Ok(ExitCode::SUCCESS)
}

/// Makes sure an agent answers, and returns once it has published everything. One that has to be
/// started first begins with `environment`. With `unless_stopped` none is started that somebody has
/// stopped meanwhile.
pub fn ensure(paths: &Paths, environment: &Variables, unless_stopped: bool) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        // An agent accepts its first connection after it has published, so any answer will do.
        let left = deadline.saturating_duration_since(Instant::now());
        match client::ask(paths, "GET", "/healthz", b"", left) {
            Ok(_) => return Ok(()),
            Err(ClientError::NoAgent | ClientError::NotOurs { .. }) => {}
            Err(ClientError::Broken(_)) if !left.is_zero() => continue,
            Err(error) => return Err(error.into()),
        }
        match lock::take(paths) {
            Ok(_) if unless_stopped && lock::is_stopped(paths) => bail!("the agent was stopped"),
            Ok(lock) => return launch(paths, lock, environment, left),
            // Somebody else is starting it.
            Err(LockError::Held(dir)) => {
                if left.is_zero() {
                    bail!("the agent that holds the lock {} does not answer", dir.display());
                }
                clock::pause(Duration::from_millis(20));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// `registry-agent run`
pub fn run() -> anyhow::Result<ExitCode> {
    let (paths, config) = settle()?;
    super::process::log(&config.log_level);
    let left_by_last = state_kept_by_systemd()?;
    let lock = lock::take(&paths)?;
    lock::set_stopped(&paths, false)?;
    let (path, listener) = socket::listen(&paths)?;
    lock::note_socket(&paths, &path)?;
    // systemd still has that state under its number, so the numbers go on from there.
    let (kept, memory) = match left_by_last {
        Some(left) => left,
        None => (0, first_memory(&matching_environment())?),
    };
    let notify = env::var_os("NOTIFY_SOCKET").is_some();
    let mut herald = Systemd { notify, kept };
    become_plain(&paths)?;
    let mut estate = Estate { lock, listener, memory };
    let done = supervisor::supervise(&mut estate, true, &mut herald);
    lock::remove_if_there(&path)?;
    done?;
    Ok(ExitCode::SUCCESS)
}

/// Becomes the configured user, when started by root for one.
pub(super) fn settle() -> anyhow::Result<(Paths, Config)> {
    let paths = Paths::of_this_process();
    let config = config::load(&paths.config_files())?;
    let Some(name) = config.user.as_deref().filter(|_| Uid::effective().is_root()) else {
        return Ok((paths, config));
    };
    let user = passwd::by_name(name)?
        .with_context(|| format!("the configuration names the user {name}, who does not exist"))?;
    if user.uid == 0 {
        return Ok((paths, config));
    }
    socket::prepare_system_dir(&user)
        .with_context(|| format!("the socket directory for {name} cannot be made"))?;
    sys::become_user(&user).with_context(|| format!("this process may not become {name}"))?;
    let paths = Paths::of_user(&user);
    let config = config::load(&paths.config_files())?;
    Ok((paths, config))
}

/// Starts a supervisor in a session of its own, and waits until its agent has published.
fn launch(
    paths: &Paths,
    lock: File,
    environment: &Variables,
    patience: Duration,
) -> anyhow::Result<()> {
    let (socket, listener) = socket::listen(paths)?;
    lock::note_socket(paths, &socket)?;
    let estate = Estate { lock, listener, memory: first_memory(environment)? };
    let (mut report, theirs) = io::pipe()?;
    let mut arguments = supervisor::arguments("supervise", &estate, None)?;
    arguments.push(format!("--report={}", theirs.as_raw_fd()));
    sys::keep_across_exec(&theirs)?;
    Command::new(sys::THIS_PROGRAM)
        .arg0("registry-agent")
        .args(arguments)
        .env_clear()
        .envs(paths.environment())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log_file(paths).map_or_else(|_| Stdio::null(), Stdio::from))
        .spawn()?;
    drop(theirs);
    drop(estate);
    let mut said = [0; READY.len()];
    let mut ready = [PollFd::new(report.as_fd(), PollFlags::POLLIN)];
    poll(&mut ready, PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX))?;
    let spoke = ready[0].any().unwrap_or_default();
    if spoke && report.read(&mut said)? == READY.len() && said == *READY {
        return Ok(());
    }
    let log = paths.state_dir().join("agent.log");
    bail!("the agent did not start; {} tells why", log.display())
}

fn log_file(paths: &Paths) -> io::Result<File> {
    let dir = paths.state_dir();
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(nix::libc::O_NOFOLLOW)
        .open(dir.join("agent.log"))?;
    if file.metadata()?.len() > LONGEST_LOG {
        file.set_len(0)?;
    }
    Ok(file)
}

/// The state of an agent that has never run: the environment it was started with.
fn first_memory(environment: &Variables) -> io::Result<OwnedFd> {
    let memory = Memory {
        environment: reveal(environment),
        environment_at: Some(Clock::system().now()),
        ..Memory::default()
    };
    memory::create(&zeroize::Zeroizing::new(serde_json::to_vec(&memory)?))
}

/// The variables of this process's environment that concern the agent.
pub fn matching_environment() -> Variables {
    env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| variable::is_pushed(name))
        .map(|(name, value)| (name, value.into()))
        .collect::<BTreeMap<_, _>>()
}

/// Leaves the environment `run` was started with behind, so that its agents have none of it.
fn become_plain(paths: &Paths) -> io::Result<()> {
    sys::harden()?;
    sys::replace_environment(&paths.environment());
    Ok(())
}

/// The state that systemd kept of an agent whose whole service died, and its number.
fn state_kept_by_systemd() -> io::Result<Option<(u64, OwnedFd)>> {
    let mut newest: Option<(u64, i32)> = None;
    for (fd, name) in sd_notify::listen_fds_with_names()? {
        let number = name.strip_prefix(STORED_STATE).and_then(|number| number.parse().ok());
        if let Some(number) = number
            && newest.is_none_or(|(newest, _)| newest < number)
        {
            newest = Some((number, fd));
        }
    }
    newest.map(|(number, fd)| Ok((number, sys::take_inherited(fd)?))).transpose()
}

/// Tells systemd what it asks of a `Type=notify` service, and gives it the state to keep.
struct Systemd {
    notify: bool,
    kept: u64,
}

impl Herald for Systemd {
    fn ready(&mut self) {
        if self.notify
            && let Err(error) = sd_notify::notify(&[NotifyState::Ready])
        {
            tracing::warn!("systemd cannot be told: {error}");
        }
    }

    fn remember(&mut self, memory: BorrowedFd<'_>) {
        if !self.notify {
            return;
        }
        let (old, new) = (format!("{STORED_STATE}{}", self.kept), self.kept + 1);
        let name = format!("{STORED_STATE}{new}");
        let store = [NotifyState::FdStore, NotifyState::FdName(&name)];
        // The new one is there before the old one goes.
        let kept = sd_notify::notify_with_fds(&store, &[memory]).and_then(|()| {
            sd_notify::notify(&[NotifyState::FdStoreRemove, NotifyState::FdName(&old)])
        });
        match kept {
            Ok(()) => self.kept = new,
            Err(error) => tracing::warn!("systemd cannot keep the state: {error}"),
        }
    }
}

/// Tells the `start` that waits at the other end of a pipe.
pub struct Starter(pub Option<File>);

impl Herald for Starter {
    fn ready(&mut self) {
        if let Some(mut report) = self.0.take() {
            // It may have been interrupted; the agent runs on.
            let _ = io::Write::write_all(&mut report, READY);
        }
    }

    fn remember(&mut self, _memory: BorrowedFd<'_>) {}
}

/// The estate that was handed over by descriptor number.
pub fn inherit(fds: super::cli::Fds) -> io::Result<Estate> {
    Ok(Estate {
        lock: sys::take_inherited(fds.lock)?.into(),
        listener: UnixListener::from(sys::take_inherited(fds.listener)?),
        memory: sys::take_inherited(fds.memory)?,
    })
}
