//! What one retry costs the agent, and what a `get` costs while all other logins fail: with one login
//! and with a thousand. Prints figures and their ratios, and asserts nothing.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]
#![expect(clippy::unwrap_used, reason = "a measurement that cannot be made ends")]
#![expect(clippy::cast_precision_loss, reason = "nanoseconds far below 2^52")]

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use registry_agent::adapters::clock::pause;
use tempfile::TempDir;

const MANY: usize = 1000;
const GETS: usize = 3000;
const HELPER_GETS: usize = 300;
/// How long retries are counted.
const WINDOW: Duration = Duration::from_secs(20);

fn main() {
    // Some runners pass `--test` to every bench: then there is nothing to measure.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let registry = FailingRegistry::start();
    let (one, many) = (Agent::start(1, &registry), Agent::start(MANY, &registry));

    let (cpu, retries) = (many.cpu(), registry.asked());
    pause(WINDOW);
    let (cpu, retries) = (many.cpu() - cpu, registry.asked() - retries);
    println!("{MANY} logins whose registries all fail, over {} s:", WINDOW.as_secs());
    println!("  {retries} retries; {:.3} ms of CPU each", millis(cpu) / retries.max(1) as f64);

    println!("a retry that `refresh` asks for, in CPU of the agent:");
    let [alone, among] = [&one, &many].map(|agent| {
        let cpu = agent.cpu();
        for number in 0..200 {
            agent.ask("POST", &format!("/v1/refresh?registry=R{}", number % agent.logins));
        }
        millis(agent.cpu() - cpu) / 200.0
    });
    println!(
        "  1 login: {alone:.3} ms; {MANY} logins: {among:.3} ms; {:.3} ms more",
        among - alone
    );

    compare("`get` over the socket", GETS, &one, &many, |agent| {
        agent.ask("GET", &format!("/v1/credential?server={}", agent.server(0)));
    });
    compare("`get` of the helper", HELPER_GETS, &one, &many, Agent::run_helper);
}

/// Medians, means and 99th percentiles of both agents, asked in turn so that whatever else the machine does weighs on both.
fn compare(what: &str, times: usize, one: &Agent, many: &Agent, ask: impl Fn(&Agent)) {
    let mut spent = [Vec::new(), Vec::new()];
    for _ in 0..times {
        for (agent, spent) in [one, many].into_iter().zip(&mut spent) {
            let start = Instant::now();
            ask(agent);
            spent.push(start.elapsed());
        }
    }
    let [one, many] = spent.map(|mut spent| {
        spent.sort_unstable();
        let mean = spent.iter().sum::<Duration>() / u32::try_from(spent.len()).unwrap();
        [spent[spent.len() / 2], mean, spent[spent.len() * 99 / 100]]
            .map(|time| time.as_secs_f64() * 1e6)
    });
    println!("{what}, {times} times each:");
    for (logins, [median, mean, p99]) in [(1, one), (MANY, many)] {
        println!("  {logins} logins: median {median:.0} µs, mean {mean:.0} µs, p99 {p99:.0} µs");
    }
    let [median, mean, p99] = [0, 1, 2].map(|figure| many[figure] / one[figure]);
    println!("  ratio: median {median:.2}, mean {mean:.2}, p99 {p99:.2}");
}

fn millis(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e6
}

/// A thousand addresses of the loopback network that close every connection at once.
struct FailingRegistry {
    port: u16,
    asked: Arc<AtomicUsize>,
}

impl FailingRegistry {
    fn start() -> Self {
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
        let first = TcpListener::bind((address(0), 0)).unwrap();
        let port = first.local_addr().unwrap().port();
        let others = (1..MANY).map(|number| TcpListener::bind((address(number), port)).unwrap());
        let listeners: Vec<_> = std::iter::once(first).chain(others).collect();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        thread::spawn(move || {
            let readable = |it| PollFd::new(TcpListener::as_fd(it), PollFlags::POLLIN);
            let mut watched: Vec<_> = listeners.iter().map(readable).collect();
            loop {
                poll(&mut watched, PollTimeout::NONE).unwrap();
                for (listener, watched) in listeners.iter().zip(&watched) {
                    if watched.any().unwrap_or_default() {
                        drop(listener.accept());
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        });
        Self { port, asked }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

fn address(number: usize) -> Ipv4Addr {
    let number = u32::try_from(number).unwrap();
    Ipv4Addr::from_bits(Ipv4Addr::LOCALHOST.to_bits() + number / 250 * 256 + number % 250)
}

/// An agent in a home of its own; it ends with the value.
struct Agent {
    home: TempDir,
    logins: usize,
    port: u16,
    pid: u32,
}

impl Agent {
    /// Starts one and waits until no login is pending.
    fn start(logins: usize, registry: &FailingRegistry) -> Self {
        let mut agent =
            Self { home: tempfile::tempdir().unwrap(), logins, port: registry.port, pid: 0 };
        let mut start = agent.command(env!("CARGO_BIN_EXE_registry-agent"));
        for number in 0..logins {
            let server = format!("https://{}", agent.server(number));
            for (suffix, value) in [("SERVER", server.as_str()), ("USER", "u"), ("PASSWORD", "p")] {
                start.env(format!("R{number}_CONTAINER_REGISTRY_{suffix}"), value);
            }
        }
        assert!(start.arg("start").status().unwrap().success());
        let wait = agent.command(env!("CARGO_BIN_EXE_registry-agent")).arg("wait").output();
        wait.unwrap();
        let status = agent.ask("GET", "/v1/status");
        let pid = status.split_once("\"pid\":").unwrap().1;
        agent.pid = pid.split(',').next().unwrap().parse().unwrap();
        agent
    }

    fn server(&self, number: usize) -> String {
        format!("{}:{}", address(number), self.port)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("HOME", self.home.path())
            .env("REGISTRY_AGENT_SOCKET", self.socket());
        command
    }

    fn socket(&self) -> std::path::PathBuf {
        self.home.path().join("agent.sock")
    }

    fn ask(&self, method: &str, target: &str) -> String {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        write!(stream, "{method} {target} HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        answer
    }

    fn run_helper(&self) {
        let mut helper = self.command(env!("CARGO_BIN_EXE_docker-credential-registry-agent"));
        let mut child =
            helper.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(self.server(0).as_bytes()).unwrap();
        assert!(child.wait_with_output().unwrap().status.success());
    }

    /// The CPU that the agent's process has used, in nanoseconds.
    fn cpu(&self) -> u64 {
        let threads = fs::read_dir(format!("/proc/{}/task", self.pid)).unwrap();
        let spent = threads.map(|thread| {
            let line = fs::read_to_string(thread.unwrap().path().join("schedstat")).unwrap();
            line.split(' ').next().unwrap().parse::<u64>().unwrap()
        });
        spent.sum()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.command(env!("CARGO_BIN_EXE_registry-agent")).arg("stop").output();
    }
}
