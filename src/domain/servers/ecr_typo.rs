//! Recognizes hosts that were meant to be registries of AWS ECR, and cannot exist.

use super::authority::ServerFault;
use super::kind::EcrHost;
use crate::domain::spelling::{is_typo_of, nearest};

/// The form of the host of a private registry.
const FORM: &str = "<12 digits>.dkr.ecr.<region>.amazonaws.com";

/// The domains of AWS in which a host that resembles one of ECR is one.
const DOMAINS: [&str; 4] = [".amazonaws.com", ".amazonaws.com.cn", ".amazonaws.eu", ".on.aws"];

/// What is wrong with a host that was meant to be one of ECR, and the right host or its form.
pub fn fault_of(host: &str) -> Option<(ServerFault, String)> {
    if let Some(ecr) = EcrHost::parse(host) {
        let region = meant_region(&ecr.region)?;
        return Some((ServerFault::EcrRegion, host.replacen(&ecr.region, region, 1)));
    }
    if !is_of_aws(host) || !resembles_ecr(host) {
        return None;
    }
    if host.starts_with("public.ecr.") {
        return Some((ServerFault::EcrForm, "public.ecr.aws".to_owned()));
    }
    let rest = host.split_once('.').map_or(host, |(_, rest)| rest);
    let is_ecr = |rest: &str| EcrHost::parse(&format!("{}.{rest}", "0".repeat(12))).is_some();
    let lacks_account = is_ecr(rest) || is_ecr(host);
    let fault = if lacks_account { ServerFault::EcrAccount } else { ServerFault::EcrForm };
    Some((fault, FORM.to_owned()))
}

fn is_of_aws(host: &str) -> bool {
    let labels: Vec<&str> = host.rsplitn(3, '.').collect();
    let is_typo = matches!(&*labels, [top, name, _] if is_typo_of("amazonaws.com", &format!("{name}.{top}"), 2));
    // Of an endpoint in a VPC, only its owner knows the name.
    (is_typo || DOMAINS.iter().any(|domain| host.ends_with(domain)))
        && !host.ends_with(".vpce.amazonaws.com")
}

fn resembles_ecr(host: &str) -> bool {
    let is_word =
        |label: &str| ["dkr", "ecr", "dkr-ecr", "ecr-fips", "dkr-ecr-fips"].contains(&label);
    let first = host.split('.').next().unwrap_or_default();
    let is_account = (10..=14).contains(&first.len()) && first.bytes().all(|b| b.is_ascii_digit());
    is_account || host.split('.').any(is_word)
}

/// The region that a mistyped one was meant to be. A region that is merely unknown may be new.
fn meant_region(region: &str) -> Option<&'static str> {
    if REGIONS.contains(&region) {
        return None;
    }
    let mut words = region.split('-');
    let continent = words.next().unwrap_or_default();
    let number = words.next_back().unwrap_or_default();
    let is_numbered = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let reversed: String = continent.chars().rev().collect();
    let begins_with =
        |start: &str| REGIONS.iter().any(|known| known.split('-').next() == Some(start));
    let is_swapped = !begins_with(continent) && begins_with(&reversed);
    let middle: Vec<&str> = words.collect();
    let is_made_of_words = !middle.is_empty() && middle.iter().all(|word| WORDS.contains(word));
    if is_numbered && is_made_of_words && !is_swapped {
        return None;
    }
    nearest(region, REGIONS)
}

/// The words between the continent and the number of a region.
const WORDS: [&str; 14] = [
    "central",
    "east",
    "gov",
    "iso",
    "isob",
    "isoe",
    "isof",
    "north",
    "northeast",
    "northwest",
    "south",
    "southeast",
    "southwest",
    "west",
];

/// The regions of AWS ("AWS services by Region").
const REGIONS: [&str; 39] = [
    "af-south-1",
    "ap-east-1",
    "ap-east-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-6",
    "ap-southeast-7",
    "ca-central-1",
    "ca-west-1",
    "cn-north-1",
    "cn-northwest-1",
    "eu-central-1",
    "eu-central-2",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "mx-central-1",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-gov-east-1",
    "us-gov-west-1",
    "us-west-1",
    "us-west-2",
    "eusc-de-east-1",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_was_meant_to_be_one_of_ecr_is_told_from_others() {
        use ServerFault::{EcrAccount, EcrForm, EcrRegion};
        let eu = "111122223333.dkr.ecr.eu-west-1.amazonaws.com";
        for (host, expected) in [
            ("11112222333.dkr.ecr.eu-west-1.amazonaws.com", Some((EcrAccount, FORM))),
            ("1111222233334.dkr.ecr.eu-west-1.amazonaws.com", Some((EcrAccount, FORM))),
            ("acme.dkr.ecr.eu-west-1.amazonaws.com", Some((EcrAccount, FORM))),
            ("dkr.ecr.eu-west-1.amazonaws.com", Some((EcrAccount, FORM))),
            ("111122223333.dkr.ecr.amazonaws.com", Some((EcrForm, FORM))),
            ("111122223333.ecr.eu-west-1.amazonaws.com", Some((EcrForm, FORM))),
            ("111122223333.dkr.eu-west-1.amazonaws.com", Some((EcrForm, FORM))),
            ("111122223333.drk.erc.eu-west-1.amazonaws.com", Some((EcrForm, FORM))),
            ("111122223333.dkr.ecr.eu-west-1.amazonaws.co", Some((EcrForm, FORM))),
            ("111122223333.dkr.ecr.eu-west-1.amazonws.com", Some((EcrForm, FORM))),
            ("api.ecr.eu-west-1.amazonaws.com", Some((EcrForm, FORM))),
            ("public.ecr.amazonaws.com", Some((EcrForm, "public.ecr.aws"))),
            ("111122223333.dkr.ecr.eu-wst-1.amazonaws.com", Some((EcrRegion, eu))),
            ("111122223333.dkr.ecr.euwest-1.amazonaws.com", Some((EcrRegion, eu))),
            ("111122223333.dkr.ecr.eu-west1.amazonaws.com", Some((EcrRegion, eu))),
            ("111122223333.dkr.ecr.ue-west-1.amazonaws.com", Some((EcrRegion, eu))),
            (eu, None),
            ("111122223333.dkr.ecr.eu-west-9.amazonaws.com", None),
            ("111122223333.dkr.ecr.nz-west-1.amazonaws.com", None),
            ("111122223333.dkr.ecr.us-isob-east-1.sc2s.sgov.gov", None),
            ("111122223333.dkr-ecr.eu-west-1.on.aws", None),
            ("vpce-1a2b.dkr.ecr.eu-west-1.vpce.amazonaws.com", None),
            ("000000000000.dkr.ecr.us-east-1.localhost.localstack.cloud", None),
            ("public.ecr.aws", None),
            ("dkr.ecr.example.com", None),
            ("s3.eu-west-1.amazonaws.com", None),
        ] {
            let found = fault_of(host);
            let found = found.as_ref().map(|(fault, meant)| (*fault, meant.as_str()));
            assert_eq!(found, expected, "{host}");
        }
    }
}
