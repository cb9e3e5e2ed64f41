use super::*;

const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

fn traced(api: Api) -> Pool {
    Pool { notes: Notes { all: false, traced: true }, ..new_pool(api, false) }
}

/// What is noted of a call of root's; `later` is the header that Envoy adds after the hook of the headers.
fn noted(mut stream: FakeStream, api: Api, later: Option<&str>, bodies: [&[u8]; 2]) -> Vec<String> {
    let pool = traced(api);
    let mut filter = Attempt::new(&pool);
    let credentials = if api == Api::Grpc { "cm9vdDpNaWx2dXM=" } else { "Bearer root:Milvus" };
    stream.request.push(("authorization".to_owned(), credentials.to_owned()));
    filter.on_request_headers(&mut stream);
    stream.received = bodies[0].to_vec();
    filter.on_request_body(&mut stream, true);
    if let Some(value) = later {
        stream.request.push(("traceparent".to_owned(), value.to_owned()));
    }
    stream.response = headers(&[(":status", "200")]);
    filter.on_response_headers(&mut stream, false);
    stream.received = bodies[1].to_vec();
    filter.on_response_body(&mut stream, false);
    filter.on_response_trailers(&mut stream);
    stream.notes.iter().map(|(key, value)| format!("{key}={value}")).collect()
}

fn drop_collection(header: Option<&str>, later: Option<&str>, connected: bool) -> Vec<String> {
    let mut stream = grpc_request("DropCollection");
    stream.endpoint = connected.then(|| "10.0.0.1:19530".to_owned());
    if let Some(value) = header {
        stream.request.push(("traceparent".to_owned(), value.to_owned()));
    }
    let bodies = [framed(&delimited(3, b"books")), framed(&varint(3, 100))];
    noted(stream, Api::Grpc, later, [&bodies[0], &bodies[1]])
}

#[test]
fn a_traced_call_is_noted_and_no_other() {
    let whole =
        ["user=root", "rpc=DropCollection", "database=default", "collection=books", "code=100"];
    for (header, later, connected, expected) in [
        (Some(SAMPLED), None, true, &whole[..]),
        (Some(UNSAMPLED), None, true, &[]),
        (None, None, true, &[]),
        (Some(SAMPLED), None, false, &whole),
        (None, Some(SAMPLED), false, &whole),
        (None, Some(UNSAMPLED), false, &[]),
        (None, None, false, &[]),
    ] {
        let notes = drop_collection(header, later, connected);
        assert_eq!(expected, notes, "{header:?} {later:?} {connected}");
    }
}

#[test]
fn a_traced_rest_call_is_noted_with_the_rpc_that_it_stands_for() {
    let request = headers(&[(":path", "/v2/vectordb/entities/search"), ("traceparent", SAMPLED)]);
    let stream = FakeStream { request, ..FakeStream::default() };
    let bodies = [&br#"{"collectionName":"books"}"#[..], br#"{"code":0,"data":[]}"#];

    let notes = noted(stream, Api::Rest, None, bodies);

    assert_eq!(
        ["user=root", "rpc=Search", "database=default", "collection=books", "code=0"],
        notes[..]
    );
}

#[test]
fn the_user_of_a_traced_call_is_named_as_the_configuration_says() {
    let pool = Pool {
        users: Users { naming: Naming::Nobody, key: HashKey::new([0; 16]) },
        ..traced(Api::Grpc)
    };
    let mut stream = grpc_request("GetVersion");
    stream.request.push(("authorization".to_owned(), "cm9vdDpNaWx2dXM=".to_owned()));
    stream.request.push(("traceparent".to_owned(), SAMPLED.to_owned()));

    Attempt::new(&pool).on_request_headers(&mut stream);

    assert_eq!([("rpc".to_owned(), "GetVersion".to_owned())], stream.notes[..]);
}

#[test]
fn the_consistency_of_a_fill_is_not_its_clients() {
    let pool = traced(Api::Grpc);
    let request = framed(&[delimited(3, b"books"), varint(14, 2)].concat());
    for (is_fill, expected) in [
        (false, &["rpc=Search", "database=default", "collection=books", "level=bounded"][..]),
        (true, &["rpc=Search", "database=default", "collection=books"]),
    ] {
        let mut stream = grpc_request("Search");
        stream.request.push(("traceparent".to_owned(), SAMPLED.to_owned()));
        if is_fill {
            hedge::announce(0, Duration::ZERO, &mut stream);
        }
        let mut filter = Attempt::new(&pool);
        filter.on_request_headers(&mut stream);
        stream.received = request.clone();
        filter.on_request_body(&mut stream, true);

        let notes: Vec<_> =
            stream.notes.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(expected, notes, "{is_fill}");
    }
}
