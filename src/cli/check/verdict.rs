//! The steps from the declared values to the registry, from the agent's verdict.

use std::iter;

use super::report::{Finding, Outcome};
use crate::cli::output::package_server;
use crate::domain::declarations::variable::Family;
use crate::domain::reasons::Step;
use crate::domain::servers::package_server::PackageServer;
use crate::domain::servers::server::Server;
use crate::wire::api::{RegistryDocument, RemarkEntry};

/// The steps that the agent's verdict decides on, in order.
const STEPS: [Step; 7] = [
    Step::Server,
    Step::Exchange,
    Step::NameResolution,
    Step::Connection,
    Step::Tls,
    Step::RegistryApi,
    Step::Credential,
];

const NOT_VERIFIED: &str = "the login is served without being verified";

/// The outcomes of these steps for a login that the agent has just verified; if not `repeats`, a
/// refused one was left alone. The first one that failed is the last.
pub(super) fn steps(registry: &RegistryDocument, repeats: bool) -> Vec<(Step, Outcome)> {
    let finding = Finding::of_login(registry).map(|finding| Finding {
        text: format!("{}{}", finding.text, if repeats { "" } else { not_repeated(registry) }),
        ..finding
    });
    let of_finding = registry.step.as_deref().and_then(Step::named);
    let works = matches!(registry.state.as_str(), "ready" | "unverified");
    if works && finding.is_some() && of_finding.is_none() {
        return not_asked(finding);
    }
    let at = of_finding.filter(|step| STEPS.contains(step)).unwrap_or(Step::Credential);
    let remarks = |step: Step| {
        let is_here = move |it: &&RemarkEntry| it.step.as_deref() == Some(step.as_str());
        registry.remarks.iter().filter(is_here).map(Finding::from)
    };
    let mut outcomes = Vec::new();
    for step in STEPS {
        let reached = finding.as_ref().filter(|_| step == at);
        let outcome = match (reached, works) {
            (Some(finding), true) => {
                let given = iter::once(finding.clone());
                passed(step, registry, given.chain(remarks(step)).collect())
            }
            (Some(finding), false) => Outcome::failed(finding.clone()),
            (None, false) if step == at => Outcome::failed(unfinished(registry)),
            (None, _) if applies(step, registry) => passed(step, registry, remarks(step).collect()),
            (None, _) => Outcome::NotApplicable,
        };
        let ends = matches!(outcome, Outcome::Failed(..));
        outcomes.push((step, outcome));
        if ends {
            break;
        }
    }
    outcomes
}

fn passed(step: Step, registry: &RegistryDocument, findings: Vec<Finding>) -> Outcome {
    match (step, &registry.proxy) {
        (Step::Credential, _) if !is_judged(registry) => {
            Outcome::Skipped(NOT_VERIFIED.to_owned(), findings)
        }
        (Step::NameResolution, Some(proxy)) => {
            Outcome::Skipped(format!("the proxy {proxy} resolves the name"), findings)
        }
        _ => Outcome::Passed(detail(step, registry), findings),
    }
}

/// Whether the registry accepted the login, or rejected it.
pub(super) fn is_judged(registry: &RegistryDocument) -> bool {
    registry.state != "unverified"
}

/// That an answer is not fresh, because asking again could do harm.
fn not_repeated(registry: &RegistryDocument) -> &'static str {
    match registry.state.as_str() {
        "rejected" | "rate-limited" => {
            "; it is not asked again unless you name the login: `registry-agent check NAME`"
        }
        _ => "",
    }
}

/// The configuration disables verification.
fn not_asked(finding: Option<Finding>) -> Vec<(Step, Outcome)> {
    let findings = finding.into_iter().collect();
    vec![(Step::Credential, Outcome::Skipped(NOT_VERIFIED.to_owned(), findings))]
}

/// No verdict came within the time limit of the request.
fn unfinished(registry: &RegistryDocument) -> Finding {
    Finding {
        code: None,
        text: format!("the agent has no answer of {} yet", shown(registry)),
        hint: Some(format!("run `registry-agent check {}` again", shown(registry))),
    }
}

fn applies(step: Step, registry: &RegistryDocument) -> bool {
    match step {
        Step::Exchange => is_exchanged(registry),
        Step::NameResolution => !is_address(&registry.server),
        Step::Tls => registry.scheme.as_deref() != Some("http"),
        _ => true,
    }
}

/// Whether AWS issues the credential.
pub(super) fn is_exchanged(registry: &RegistryDocument) -> bool {
    let is_aws = registry.kind.starts_with("ecr") || registry.kind == "codeartifact";
    is_aws && !matches!(registry.user.as_deref(), Some("AWS" | "aws"))
}

fn detail(step: Step, registry: &RegistryDocument) -> String {
    let server = shown(registry);
    // What is below a host does not resolve, listen or have a certificate.
    let package = package_server(registry);
    let host = package.as_ref().map_or(server.as_str(), PackageServer::host);
    let authority = package.as_ref().map_or(server.as_str(), PackageServer::authority);
    match step {
        Step::Server => format!("{server} is of the kind {}", registry.kind),
        Step::Exchange => match registry.expires_at {
            Some(end) => format!("AWS issued a token that expires at {end}"),
            None => "AWS issued a token".to_owned(),
        },
        Step::NameResolution => format!("the name {host} resolves"),
        Step::Connection => match &registry.proxy {
            Some(proxy) => format!("{authority} accepts connections through the proxy {proxy}"),
            None => format!("{authority} accepts connections"),
        },
        Step::Tls if registry.scheme.is_none() && is_local(&registry.server) => {
            format!("{server} is on this machine, so it needs no TLS")
        }
        Step::Tls => format!("the certificate of {host} is trusted"),
        Step::RegistryApi if registry.family == Family::Package => {
            format!("{server} answers over HTTP")
        }
        Step::RegistryApi => format!("{server} answers as a registry"),
        _ => match &registry.user {
            Some(user) => format!("{server} accepts the login of {user}"),
            None => format!("{server} accepts the login"),
        },
    }
}

/// The server as people write it.
pub(super) fn shown(registry: &RegistryDocument) -> String {
    if registry.family == Family::Package {
        return registry.server.clone();
    }
    let parsed = Server::parse(&registry.server);
    parsed.map_or_else(|_| registry.server.clone(), |(server, _)| server.shown().to_owned())
}

fn is_local(server: &str) -> bool {
    Server::parse(server).is_ok_and(|(server, _)| server.is_loopback())
}

fn is_address(server: &str) -> bool {
    let host = Server::parse(server).map(|(server, _)| server.host().to_owned());
    host.is_ok_and(|host| host.starts_with('[') || host.parse::<std::net::Ipv4Addr>().is_ok())
}
