//! The URLs of package registries: how they are named, and for which URLs a login answers.

use proptest::prelude::*;
use registry_agent::domain::credentials::authorization::AuthScheme;
use registry_agent::domain::servers::package_server::{PackageServer, PackageUrl};
use registry_agent::domain::servers::server::Server;

const CODE_ARTIFACT: &str = "https://acme-x-111122223333.d.codeartifact.eu-west-1.amazonaws.com/";

fn server(declared: &str) -> PackageServer {
    PackageServer::parse(declared).unwrap_or_else(|fault| panic!("{declared}: {fault}"))
}

fn covers(declared: &str, asked: &str) -> bool {
    PackageUrl::parse(asked).is_ok_and(|asked| server(declared).covers(&asked))
}

#[test]
fn a_url_has_one_canonical_name() {
    for (declared, name) in [
        ("https://npm.pkg.github.com", "https://npm.pkg.github.com/"),
        ("HTTPS://NPM.pkg.GitHub.com.:443/Org", "https://npm.pkg.github.com/Org/"),
        ("npm.pkg.github.com", "https://npm.pkg.github.com/"),
        ("https://nexus.test:8443/repository/npm/", "https://nexus.test:8443/repository/npm/"),
        ("http://nexus.test:80/a", "http://nexus.test/a/"),
        ("127.0.0.1:4873", "http://127.0.0.1:4873/"),
        ("localhost/a/", "http://localhost/a/"),
        ("https://127.0.0.1:4873", "https://127.0.0.1:4873/"),
        ("https://[::1]:4873/", "https://[::1]:4873/"),
        ("https://bücher.test/ä b".trim_end_matches(" b"), "https://xn--bcher-kva.test/%C3%A4/"),
        ("https://h.test/%7euser/%61/%2f", "https://h.test/~user/a/%2F/"),
        ("  https://h.test/a/ \n", "https://h.test/a/"),
    ] {
        let declared = declared.trim_end_matches('\n');
        assert_eq!(server(declared).name(), name, "{declared:?}");
        assert_eq!(server(name).name(), name, "{declared:?}");
    }
}

#[test]
fn a_url_that_clients_and_servers_read_differently_is_refused() {
    for (declared, fault) in [
        ("", "empty"),
        ("https://", "empty"),
        ("https:///a", "empty"),
        ("ftp://h.test/", "scheme"),
        ("https://user@h.test/", "user name"),
        ("https://user:secret@h.test/", "user name"),
        ("https://h.test\\@evil.test/", "backslash"),
        ("https://h.test/?a=b", "query"),
        ("https://h.test/#a", "query"),
        ("https://h.test/a/../b/", ". or .."),
        ("https://h.test/a/./b/", ". or .."),
        ("https://h.test/a/%2e%2E/b/", ". or .."),
        ("https://h.test/a/..%2fb/", ". or .."),
        ("https://h.test/a/..;x/b/", ". or .."),
        ("https://h.test/a%5c..%5cb/", ". or .."),
        ("https://h.test/%4", "percent-encoding"),
        ("https://h.test/%zz", "percent-encoding"),
        ("https://h.test/a b", "blank"),
        ("https://h.test:0/", "port"),
        ("https://h.test:99999/", "port"),
        ("https://h%2etest/", "host name"),
        ("https://127.1/", "host name"),
        ("https://a\u{7}.test/", "control character"),
        ("https://index.docker.io/v1/", "Docker Hub"),
        ("https://registry-1.docker.io/", "Docker Hub"),
    ] {
        let message = PackageServer::parse(declared).err().map(|fault| fault.to_string());
        assert!(message.as_ref().is_some_and(|it| it.contains(fault)), "{declared:?}: {message:?}");
    }
}

#[test]
fn a_login_answers_below_its_url_and_nowhere_else() {
    let declared = "https://h.test/a/feed/";
    for asked in [
        "https://h.test/a/feed",
        "https://h.test/a/feed/",
        "https://h.test/a/feed?x=y",
        "https://h.test/a/feed/@scope%2fname",
        "https://h.test/a/feed/x//y#z",
        "https://H.TEST.:443/a/%66eed/x",
    ] {
        assert!(covers(declared, asked), "{asked}");
    }
    for asked in [
        "https://h.test/a/feedx/",
        "https://h.test/a/fee",
        "https://h.test/a/feed%2fx",
        "https://h.test/a%2ffeed/x",
        "https://h.test/a/Feed/x",
        "https://h.test/a/feed/../other/",
        "https://h.test/a/feed/%2e%2e/other/",
        "https://h.test/a/feed/..%2fother/",
        "https://h.test/a/feed/..%5Cother/",
        "https://h.test/a/feed/..;/other/",
        "https://h.test/a/feed/%252e%252e/other/",
        "https://h.test/a/feed/%25252e./other/",
        "https://h.test/a/feed/..%252fother/",
        "https://h.test/a/feed/x%252f..%255cother/",
        "https://h.test//a/feed/",
        "http://h.test/a/feed/",
        "https://h.test:444/a/feed/",
        "http://h.test:443/a/feed/",
        "https://h.test.evil.test/a/feed/",
        "https://evil-h.test/a/feed/",
        "https://x.h.test/a/feed/",
        "https://h.test@evil.test/a/feed/",
        "https://h.test:443@evil.test/a/feed/",
        "https://user@h.test/a/feed/",
        "https://user:pass@h.test/a/feed/",
        "https://evil.test\\@h.test/a/feed/",
        "https://h.test\\.evil.test/a/feed/",
        "https://h.test/a\\feed/",
        "https://evil.test/?https://h.test/a/feed/",
        "https://evil.test#@h.test/a/feed/",
        "https://h.tést/a/feed/",
        "//h.test/a/feed/",
        "h.test/a/feed/",
        "h.test",
        "file:///a/feed/",
        "https:h.test/a/feed/",
        "https:/h.test/a/feed/",
        " https://h.test/a/feed/x",
        "https://h.test/a/feed/x\n",
        "https://h.test/a/fe\ned/",
        "https://h.test/a/fe\ted/x",
    ] {
        assert!(!covers(declared, asked), "{asked:?}");
    }
}

#[test]
fn plain_requests_are_answered_only_where_the_url_is_declared_plain() {
    assert!(covers("http://h.test/", "http://h.test/x"));
    assert!(covers("127.0.0.1:4873", "http://127.0.0.1:4873/x"));
    assert!(!covers("http://h.test/", "https://h.test/x"));
    assert!(!covers("https://127.0.0.1:4873", "http://127.0.0.1:4873/x"));
    assert!(!covers("h.test", "http://h.test/x"));
}

#[test]
fn kinds_are_recognized_by_whole_labels() {
    for (declared, kind) in [
        (CODE_ARTIFACT, "codeartifact"),
        ("https://acme-111122223333.d.codeartifact.eu-west-1.on.aws/npm/repo/", "codeartifact"),
        ("https://acme.d.codeartifact.eu-west-1.amazonaws.com/", "packages"),
        ("https://acme-11112222333.d.codeartifact.eu-west-1.amazonaws.com/", "packages"),
        ("https://a.acme-111122223333.d.codeartifact.eu-west-1.amazonaws.com/", "packages"),
        ("https://acme-111122223333.d.codeartifact.eu-west-1.amazonaws.com.evil.test/", "packages"),
        ("https://npm.pkg.github.com/", "github-packages"),
        ("https://maven.pkg.github.com/owner/repo/", "github-packages"),
        ("https://npm.pkg.github.com.evil.test/", "packages"),
        ("https://evil-npm.pkg.github.com/", "packages"),
        ("https://europe-west1-python.pkg.dev/p/r/", "google-packages"),
        ("https://npm.europe-west1.rep.pkg.dev/p/r/", "google-packages"),
        ("https://europe-west1-docker.pkg.dev/p/r/", "packages"),
        ("https://pkg.dev/p/r/", "packages"),
        ("https://pkgs.dev.azure.com/org/_packaging/feed/", "azure-artifacts"),
        ("https://org.pkgs.visualstudio.com/_packaging/feed/", "azure-artifacts"),
        ("https://pkgs.dev.azure.com.evil.test/", "packages"),
        ("https://gitlab.com/api/v4/projects/1/packages/npm/", "gitlab-packages"),
        ("https://git.acme.test/api/v4/", "gitlab-packages"),
        ("https://acme.jfrog.io/artifactory/api/npm/npm/", "jfrog"),
        ("https://repo.acme.test/artifactory/api/npm/npm/", "jfrog"),
        ("https://nexus.acme.test/repository/npm/", "packages"),
    ] {
        let server = PackageServer::parse(declared);
        let found = server.as_ref().map_or("-", |server| server.kind().as_str());
        assert_eq!(found, kind, "{declared}: {server:?}");
    }
}

#[test]
fn the_scheme_follows_from_the_kind_the_url_and_the_user() {
    use AuthScheme::{Basic, Bearer};
    for (asked, has_user, scheme) in [
        (format!("{CODE_ARTIFACT}npm/repo/x"), true, Bearer),
        (format!("{CODE_ARTIFACT}cargo/repo/config.json"), true, Bearer),
        (format!("{CODE_ARTIFACT}pypi/repo/simple/"), true, Basic),
        (format!("{CODE_ARTIFACT}maven/npm/"), true, Basic),
        ("https://npm.pkg.github.com/@org/x".to_owned(), true, Bearer),
        ("https://nuget.pkg.github.com/org/index.json".to_owned(), true, Basic),
        ("https://pkgs.dev.azure.com/org/".to_owned(), true, Basic),
        ("https://nexus.test/".to_owned(), true, Basic),
        ("https://nexus.test/".to_owned(), false, Bearer),
    ] {
        let url = PackageUrl::parse(&asked).unwrap();
        assert_eq!(server(&asked).scheme_for(&url, has_user, &[], None), scheme, "{asked}");
    }
}

#[test]
fn the_scheme_of_a_client_counts_where_kind_and_registry_leave_it_open() {
    use AuthScheme::{Basic, Bearer, Raw};
    for (asked, has_user, offered, scheme) in [
        ("https://crates.test/", true, &[][..], Raw),
        ("https://crates.test/", false, &[], Raw),
        ("https://crates.test/", true, &[Basic], Basic),
        ("https://crates.test/", false, &[Bearer, Raw], Raw),
        ("https://crates.test/", true, &[Bearer, Basic], Basic),
        ("https://acme.jfrog.io/artifactory/api/cargo/x/", false, &[], Bearer),
        ("https://pkgs.dev.azure.com/org/", true, &[], Basic),
    ] {
        let url = PackageUrl::parse(asked).unwrap();
        let found = server(asked).scheme_for(&url, has_user, offered, Some(Raw));
        assert_eq!(found, scheme, "{asked} {offered:?}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>()) {
        let _ = (PackageServer::parse(&text), PackageUrl::parse(&text));
        let _ = PackageServer::parse(&format!("https://h.test/{text}"));
    }

    #[test]
    fn a_parsed_url_is_its_own_canonical_name_and_covers_itself(
        path in "(/[a-zA-Z0-9%.~;@ä_-]{0,6}){0,4}", port in proptest::option::of(1u16..),
    ) {
        let port = port.map_or_else(String::new, |port| format!(":{port}"));
        let text = format!("https://h.test{port}{path}");
        if let Ok(server) = PackageServer::parse(&text) {
            let again = PackageServer::parse(server.name()).unwrap();
            prop_assert_eq!(&again, &server);
            prop_assert!(server.covers(&PackageUrl::parse(&text).unwrap()));
        }
    }

    /// What a login covers is below its URL also for the parser that HTTP clients use.
    #[test]
    fn what_is_covered_is_below_the_url_for_http_clients_too(
        prefix in "(/[a-c]{1,2}){0,2}",
        asked in "https?://(h\\.test|x\\.test|h\\.test\\.x|h\\.test@x\\.test)(:443|:80|:8443)?(/[abc.%2f5eE;\\\\@]{0,7}){0,4}",
    ) {
        let declared = format!("https://h.test{prefix}");
        if covers(&declared, &asked) {
            let (declared, asked) =
                (url::Url::parse(&declared).unwrap(), url::Url::parse(&asked).unwrap());
            prop_assert_eq!(asked.origin(), declared.origin());
            prop_assert!(asked.username().is_empty());
            let prefix = declared.path().trim_end_matches('/');
            let path = percent_encoding::percent_decode_str(asked.path()).decode_utf8_lossy();
            prop_assert!(
                path == prefix || path.starts_with(&format!("{prefix}/")), "{} {}", prefix, path
            );
        }
    }

    /// A container lookup parses a server without regard to its path; a package lookup never does.
    #[test]
    fn the_name_of_a_container_registry_is_never_that_of_a_package_registry(
        host in "[a-z]{1,8}(\\.[a-z]{2,3}){0,2}", port in proptest::option::of(1u16..),
    ) {
        let text = port.map_or(host.clone(), |port| format!("{host}:{port}"));
        for text in [text.clone(), format!("https://{text}/v1/"), "docker.io".to_owned()] {
            let container = Server::parse(&text).map(|(server, _)| server.name().to_owned());
            let package = PackageServer::parse(&text).map(|server| server.name().to_owned());
            if let (Ok(container), Ok(package)) = (container, package) {
                prop_assert_ne!(container, package);
            }
        }
    }
}
