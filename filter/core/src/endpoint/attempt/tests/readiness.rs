//! A gRPC answer that says that its endpoint is not ready.

use super::*;

#[test]
fn a_call_that_may_not_be_repeated_is_marked_and_keeps_its_message() {
    let mut exchange = Exchange::new("Insert");

    assert_eq!(Action::Hold, exchange.grpc_headers());
    assert_eq!(Action::Continue, exchange.body(&NOT_READY, false));

    assert!(exchange.is_marked());
    assert_eq!(Some(&b"14"[..]), exchange.stream.response_header("grpc-status"));
    assert_eq!(vec!["Insert"], exchange.counted());
    exchange.trailers();
    assert_eq!((0, None), (exchange.stream.dropped, exchange.stream.trailer(0)));
}

#[test]
fn a_call_that_may_be_repeated_is_refused_without_its_message() {
    for method in ["Search", "GetVersion", "Connect"] {
        let mut exchange = Exchange::new(method);
        exchange.grpc_headers();

        assert_eq!(Action::Hold, exchange.body(&NOT_READY[..6], false));
        assert_eq!(Action::Continue, exchange.body(&NOT_READY[6..], false));
        assert!(exchange.is_refused(), "{method}");
        assert_eq!(vec![method], exchange.counted());
        assert_eq!(1, exchange.stream.dropped);
        assert_eq!(Action::Continue, exchange.body(b"more", false));
        assert_eq!(2, exchange.stream.dropped);
        exchange.trailers();

        assert_eq!(Some(("grpc-status", "14")), exchange.stream.trailer(0));
    }
}

#[test]
fn the_message_of_a_ready_endpoint_is_passed_on() {
    let mut exchange = Exchange::new("Search");
    exchange.grpc_headers();

    assert_eq!(Action::Continue, exchange.body(&[0, 0, 0, 0, 2, 0x0a, 0], false));
    exchange.trailers();

    assert_eq!((0, None), (exchange.stream.dropped, exchange.stream.trailer(0)));
    assert!(!exchange.is_refused());
}

#[test]
fn the_response_is_held_byte_by_byte_until_the_readiness_is_known() {
    let mut exchange = Exchange::new("Search");
    exchange.grpc_headers();

    let (last, first) = NOT_READY.split_last().unwrap();
    for byte in first {
        assert_eq!(Action::Hold, exchange.body(&[*byte], false));
    }
    assert!(!exchange.is_refused());
    assert_eq!(Action::Continue, exchange.body(&[*last], false));

    assert!(exchange.is_refused());
}

#[test]
fn a_response_in_pieces_is_read_whole() {
    let mut exchange = Exchange::new("Search");
    exchange.grpc_headers();
    exchange.stream.piece = Some(7);

    assert_eq!(Action::Continue, exchange.body(&NOT_READY, false));

    assert!(exchange.is_refused());
}

#[test]
fn the_rest_of_a_response_is_passed_on_unread() {
    let mut exchange = Exchange::new("Search");
    exchange.grpc_headers();

    assert_eq!(Action::Continue, exchange.body(&[0, 0, 0, 1, 0, 0x0a, 0], false));
    for _ in 0..3 {
        assert_eq!(Action::Continue, exchange.body(&NOT_READY, false));
    }

    assert!(!exchange.is_refused());
}

#[test]
fn no_more_than_the_limit_is_ever_kept() {
    let mut exchange = Exchange::new("DropCollection");
    exchange.grpc_headers();
    // A Status whose reason claims a megabyte: the code behind it is never reached.
    exchange.body(&[0, 0, 0x20, 0, 0, 0x12, 0x80, 0x80, 0x40], false);

    let mut held = 1;
    for _ in 0..HEAD_LIMIT {
        if exchange.body(&[b'x'; 100], false) == Action::Continue {
            break;
        }
        let State::Reading(_, head) = &exchange.filter.state else { panic!() };
        assert!(head.len() <= HEAD_LIMIT);
        held += 1;
    }

    assert_eq!(HEAD_LIMIT / 100 + 1, held);
    assert!(!exchange.is_refused());
}

#[test]
fn a_response_that_ends_early_is_passed_on() {
    let mut exchange = Exchange::new("Search");
    exchange.grpc_headers();

    assert_eq!(Action::Continue, exchange.body(&NOT_READY[..8], true));
    assert!(!exchange.is_refused());
}

#[test]
fn a_response_without_message_or_milvus_status_is_not_held() {
    let grpc = [(":status", "200"), ("content-type", "application/grpc")];
    for (method, end) in [("Search", true), ("DumpMessages", false), ("NoSuchCall", false)] {
        let mut exchange = Exchange::new(method);

        assert_eq!(Action::Continue, exchange.headers(&grpc, end), "{method}");
        assert_eq!(Action::Continue, exchange.body(&NOT_READY, false), "{method}");
        assert!(!exchange.is_refused());
    }
}

#[test]
fn a_response_that_is_not_grpc_is_never_marked() {
    for response in [
        [(":status", "200"), ("content-type", "text/html")],
        [(":status", "503"), ("content-type", "application/grpc")],
    ] {
        let mut exchange = Exchange::new("Search");
        exchange.headers(&response, false);

        assert_eq!(Action::Continue, exchange.body(&NOT_READY, false));
        assert!(!exchange.is_refused(), "{response:?}");
        assert!(exchange.counted().is_empty());
    }
}
