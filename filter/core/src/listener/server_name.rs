//! The host of a request that names an address: the server name (SNI) of its connection.
//!
//! The Node SDK sends the address that it connects to as `:authority`, whatever server name it is given. No host is an
//! address, so nothing but the server name says which host is meant.

use std::net::{IpAddr, Ipv6Addr};

use crate::host::request::{Connected, Request, Routed};
use crate::listener::route::RouteConfig;

/// The longest name in DNS (RFC 1035, 2.3.4).
const LONGEST: usize = 253;

/// Gives a request that names an address the host of its connection's server name, and has its route chosen again. A client
/// could have sent that host itself, so it reaches nothing that it could not reach before.
pub fn route_by_server_name(stream: &mut (impl Request + Connected + Routed<RouteConfig>)) {
    if !stream.route_config().is_some_and(|config| config.by_server_name) {
        return;
    }
    if !stream.request_header(":authority").is_some_and(is_address) {
        return;
    }
    let Some(name) = stream.server_name().and_then(host_name) else { return };
    stream.set_request_header(":authority", &name);
    stream.choose_route_again();
}

/// Whether a host without a port is an IP address, or the name of this machine itself.
fn is_address(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return false };
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match bare {
        Some(bare) => bare.parse::<Ipv6Addr>().is_ok(),
        None => host.parse::<IpAddr>().is_ok() || host.eq_ignore_ascii_case("localhost"),
    }
}

/// A server name that can be a host: TLS permits any bytes.
fn host_name(name: &[u8]) -> Option<String> {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let is_name = (1..=LONGEST).contains(&name.len()) && name.iter().all(is_part);
    is_name.then(|| String::from_utf8_lossy(name).to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::{grpc_request, FakeStream};

    fn asked(authority: &str, server_name: Option<&str>, by_server_name: bool) -> FakeStream {
        let mut stream = grpc_request("Search");
        stream.request.push((":authority".to_owned(), authority.to_owned()));
        stream.server_name = server_name.map(str::to_owned);
        stream.route = Some(Box::new(RouteConfig { by_server_name, ..RouteConfig::default() }));
        route_by_server_name(&mut stream);
        stream
    }

    fn host(stream: &FakeStream) -> Option<&[u8]> {
        stream.request_header(":authority")
    }

    #[test]
    fn an_address_stands_for_the_server_name() {
        for address in ["127.0.0.1", "10.2.3.4", "[::1]", "::1", "localhost", "LocalHost"] {
            let stream = asked(address, Some("Milvus.example.org"), true);

            let expected = Some(&b"milvus.example.org"[..]);
            assert_eq!((expected, 1), (host(&stream), stream.rerouted), "{address}");
        }
    }

    #[test]
    fn a_name_is_what_the_client_means() {
        for name in ["other.example.org", "1.2.3.4.example.org", "[127.0.0.1]", "1.2.3", "", "é"] {
            let stream = asked(name, Some("milvus.example.org"), true);

            assert_eq!((Some(name.as_bytes()), 0), (host(&stream), stream.rerouted), "{name}");
        }
    }

    #[test]
    fn a_server_name_that_can_be_no_host_is_not_used() {
        let long = "a".repeat(LONGEST + 1);
        for name in ["", "a b", "a\r\nb", "a:443", "é.org", "a/b", "*.org", &long] {
            let stream = asked("127.0.0.1", Some(name), true);

            assert_eq!((Some(&b"127.0.0.1"[..]), 0), (host(&stream), stream.rerouted), "{name:?}");
        }
        assert_eq!(0, asked("127.0.0.1", None, true).rerouted);
    }

    #[test]
    fn a_route_to_a_host_that_somebody_claims_is_not_chosen_again() {
        assert_eq!(0, asked("127.0.0.1", Some("milvus.example.org"), false).rerouted);
        let mut stream = grpc_request("Search");
        stream.server_name = Some("milvus.example.org".to_owned());

        route_by_server_name(&mut stream);

        assert_eq!(0, stream.rerouted);
    }
}
