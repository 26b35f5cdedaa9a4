//! Reasons of AWS.

use registry_agent::domain::reasons::AwsReason;
use registry_agent::domain::reasons::connection::ConnectionFault;

use super::{Sample, sample};

const POLICY: &str = r#"No IAM policy of this identity allows the action. Logging in needs this policy:

    {
      "Version": "2012-10-17",
      "Statement": [
        {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"},
        {
          "Effect": "Allow",
          "Action": ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
          "Resource": "arn:aws:ecr:eu-west-1:111122223333:repository/*"
        }
      ]
    }

The first statement allows the login, the second allows pulling. public.ecr.aws needs
ecr-public:GetAuthorizationToken and sts:GetServiceBearerToken instead."#;

const CODE_ARTIFACT_POLICY: &str = r#"No IAM policy of this identity allows one of the two actions that create a CodeArtifact token. Logging in
and reading packages need this policy:

    {
      "Version": "2012-10-17",
      "Statement": [
        {
          "Effect": "Allow",
          "Action": ["codeartifact:GetAuthorizationToken", "codeartifact:ReadFromRepository"],
          "Resource": "*"
        },
        {
          "Effect": "Allow",
          "Action": "sts:GetServiceBearerToken",
          "Resource": "*",
          "Condition": {"StringEquals": {"sts:AWSServiceName": "codeartifact.amazonaws.com"}}
        }
      ]
    }"#;

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn aws() -> Vec<Sample> {
    use AwsReason as R;
    let key = || "AKIA…MPLE".to_owned();
    let user = || "arn:aws:iam::111122223333:user/dev".to_owned();
    let action = || "ecr:GetAuthorizationToken".to_owned();
    let host = || "api.ecr.eu-west-1.amazonaws.com".to_owned();
    let region = || "eu-west-1".to_owned();
    vec![
        sample(
            R::UnknownAccessKey { key: key(), region: region(), opt_in: false },
            "The access key was deleted or deactivated, or is mistyped.",
        ),
        sample(
            R::UnknownAccessKey { key: key(), region: "ap-south-2".into(), opt_in: true },
            "The access key was deleted or deactivated, is mistyped, or belongs to an account that has not \
             enabled this region. Sessions from the global STS endpoint are not valid in such regions.",
        ),
        sample(
            R::WrongSecret { key: key() },
            "The access key exists, but the request was signed with another secret key.",
        ),
        sample(
            R::SessionExpired { key: "ASIA…MPLE".into() },
            "Temporary keys (ASIA…) are valid for a few hours at most.",
        ),
        sample(
            R::SessionTokenMissing { key: "ASIA…MPLE".into() },
            "Temporary keys (ASIA…) work only together with their session token. Nothing was sent to AWS.",
        ),
        sample(R::AccessDenied { who: user(), action: action(), explicit: false }, POLICY),
        sample(
            R::AccessDenied {
                who: user(),
                action: "sts:GetServiceBearerToken".into(),
                explicit: false,
            },
            CODE_ARTIFACT_POLICY,
        ),
        sample(
            R::DomainMissing {
                domain: "acme".into(),
                owner: "111122223333".into(),
                region: region(),
            },
            "The host name of the server contains the domain, the account that owns it, and the region. One of \
             them is wrong.",
        ),
        sample(
            R::AccessDenied { who: user(), action: action(), explicit: true },
            "A policy of the identity, of its permissions boundary or of the organization denies the action \
             explicitly, so that no other policy can allow it.",
        ),
        sample(
            R::RoleRefused { who: user(), role: "arn:aws:iam::111122223333:role/pull".into() },
            "Assuming a role takes two permissions: one for the identity, and one in the role's trust policy.",
        ),
        sample(
            R::RegionNotEnabled { region: "ap-south-2".into() },
            "Some regions must be enabled for each account before they can be used.",
        ),
        sample(
            R::Refused { action: action(), code: "InvalidParameterException".into() },
            "AWS rejected the request with an error that has no explanation of its own here.",
        ),
        sample(
            R::ClockRefused { action: action(), seconds: 3600 },
            "AWS accepts only requests that are signed with nearly the right time.",
        ),
        sample(
            R::Throttled { host: host() },
            "All programs that use this account and region share one limit.",
        ),
        sample(
            R::Unreachable { host: host(), fault: ConnectionFault::Refused },
            "No request gets through to the endpoint. A token that is still valid stays in use.",
        ),
        sample(
            R::ProxyRefused {
                host: host(),
                fault: ConnectionFault::ProxyLogin {
                    proxy: "http://proxy.example.com:3128".into(),
                    variable: "HTTPS_PROXY".into(),
                },
            },
            "HTTPS_PROXY names a proxy, and the proxy did not open a connection to the endpoint.",
        ),
        sample(
            R::TimedOut { host: host(), seconds: 10 },
            "The connection is open or being opened, but no response arrives. A firewall may drop the packets.",
        ),
        sample(
            R::ServiceFault { host: host(), status: 503 },
            "The endpoint failed. A token that is still valid stays in use.",
        ),
        sample(
            R::BadAnswer { host: host() },
            "The endpoint responded, but not the way AWS does. An AWS_ENDPOINT_URL_* variable may point to \
             another service.",
        ),
        sample(
            R::NoIdentity,
            "Only the server is declared, so the agent looks for an identity where every AWS tool looks: \
             environment, shared files, SSO, web identity, container and instance metadata.",
        ),
        sample(
            R::ProfileMissing { profile: "staging".into() },
            "The profile is not in ~/.aws/config or ~/.aws/credentials of the agent's user, or has neither \
             keys nor a source for them.",
        ),
        sample(
            R::IdentityBroken { place: "profile staging".into() },
            "A source of credentials is configured, but fails: for example its credential_process, its \
             web identity token file or its source profile.",
        ),
        sample(
            R::SsoEnded { place: "profile staging".into() },
            "An SSO session needs a person to log in again from time to time.",
        ),
        sample(
            R::LoginEnded { place: "profile staging".into() },
            "A session of `aws login` needs a person to log in again from time to time.",
        ),
        sample(
            R::NoEndpoint { action: action(), region: region() },
            "The AWS SDK does not allow an endpoint variable together with a FIPS or dual-stack host.",
        ),
        sample(
            R::ProcessFailed { error: "Cannot allocate memory (os error 12)".into() },
            "The agent asks AWS from a short-lived process of its own, which could not be started or ended \
             early. A token that is still valid stays in use.",
        ),
        sample(
            R::ClockOff { seconds: 180 },
            "The login works, because the agent uses the time of AWS. Other programs may fail.",
        ),
    ]
}
