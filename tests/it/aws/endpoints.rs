//! The endpoint for each form of an ECR host, taken from the CONNECT line that a proxy receives, because
//! the SDK does not allow endpoint variables with FIPS and dual-stack.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;

use super::probe::{KEY, Probe, SECRET};

/// Runs an exchange behind a proxy that rejects all connections, and returns the requested hosts.
fn called(server: &str, role: Option<&str>, variables: &[(&str, &str)]) -> Vec<String> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut line = String::new();
            let _ = BufReader::new(&stream).read_line(&mut line);
            let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n");
            sender.send(line.split(' ').nth(1).unwrap_or_default().to_owned()).unwrap();
        }
    });
    let mut probe = Probe {
        server: server.to_owned(),
        keys: Some((KEY.to_owned(), SECRET.to_owned(), None)),
        role: role.map(str::to_owned),
        profile: None,
        clock_ahead: 0,
        variables: vec![("HTTPS_PROXY".to_owned(), proxy)],
    };
    for (name, value) in variables {
        probe = probe.set(name, value);
    }
    let (code, sentence, ..) = probe.refusal();
    assert_eq!(code, "aws-proxy-refused", "{sentence}");
    receiver.try_iter().collect()
}

#[test]
fn every_form_of_an_ecr_host_calls_the_endpoint_of_its_region_and_kind() {
    let cases = [
        ("dkr.ecr.eu-west-1.amazonaws.com", "api.ecr.eu-west-1.amazonaws.com"),
        ("dkr.ecr-fips.us-east-1.amazonaws.com", "api.ecr-fips.us-east-1.amazonaws.com"),
        ("dkr.ecr-fips.us-gov-west-1.amazonaws.com", "api.ecr-fips.us-gov-west-1.amazonaws.com"),
        ("dkr-ecr.eu-west-1.on.aws", "ecr.eu-west-1.api.aws"),
        ("dkr-ecr-fips.us-east-1.on.aws", "ecr-fips.us-east-1.api.aws"),
        ("dkr.ecr.cn-north-1.amazonaws.com.cn", "api.ecr.cn-north-1.amazonaws.com.cn"),
        (
            "dkr-ecr.cn-north-1.on.amazonwebservices.com.cn",
            "ecr.cn-north-1.api.amazonwebservices.com.cn",
        ),
        ("dkr.ecr.eusc-de-east-1.amazonaws.eu", "api.ecr.eusc-de-east-1.amazonaws.eu"),
        ("dkr.ecr.us-isob-east-1.sc2s.sgov.gov", "api.ecr.us-isob-east-1.sc2s.sgov.gov"),
        ("dkr.ecr.us-iso-east-1.c2s.ic.gov", "api.ecr.us-iso-east-1.c2s.ic.gov"),
        ("dkr.ecr.eu-isoe-west-1.cloud.adc-e.uk", "api.ecr.eu-isoe-west-1.cloud.adc-e.uk"),
        ("dkr.ecr.us-isof-south-1.csp.hci.ic.gov", "api.ecr.us-isof-south-1.csp.hci.ic.gov"),
    ];
    for (host, endpoint) in cases {
        let server = format!("111122223333.{host}");
        assert_eq!(called(&server, None, &[]), [format!("{endpoint}:443")], "{server}");
    }
}

#[test]
fn the_public_gallery_calls_its_one_endpoint() {
    for server in ["public.ecr.aws", "ecr-public.aws.com"] {
        let hosts = called(server, None, &[]);
        assert_eq!(hosts, ["api.ecr-public.us-east-1.amazonaws.com:443"], "{server}");
    }
}

#[test]
fn a_role_is_assumed_in_the_region_of_the_registry() {
    let role = Some("arn:aws:iam::111122223333:role/puller");
    let hosts = called("111122223333.dkr.ecr.eu-west-1.amazonaws.com", role, &[]);
    assert_eq!(hosts, ["sts.eu-west-1.amazonaws.com:443"]);
    let hosts = called("111122223333.dkr.ecr-fips.us-east-1.amazonaws.com", role, &[]);
    assert_eq!(hosts, ["sts-fips.us-east-1.amazonaws.com:443"]);
}

#[test]
fn a_plain_host_follows_the_fips_variable_that_aws_users_know() {
    let variables = [("AWS_USE_FIPS_ENDPOINT", "true")];
    let hosts = called("111122223333.dkr.ecr.us-east-1.amazonaws.com", None, &variables);
    assert_eq!(hosts, ["api.ecr-fips.us-east-1.amazonaws.com:443"]);
}

#[test]
fn an_endpoint_variable_on_a_fips_host_is_explained() {
    let probe = Probe {
        server: "111122223333.dkr.ecr-fips.us-east-1.amazonaws.com".to_owned(),
        keys: Some((KEY.to_owned(), SECRET.to_owned(), None)),
        role: None,
        profile: None,
        clock_ahead: 0,
        variables: vec![("AWS_ENDPOINT_URL_ECR".to_owned(), "http://127.0.0.1:9".to_owned())],
    };
    let (code, sentence, ..) = probe.refusal();
    assert_eq!(code, "aws-no-endpoint", "{sentence}");
}
