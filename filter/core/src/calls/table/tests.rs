use super::*;

fn new() -> (Table, Vouched, Instant) {
    (Table::default(), Vouched::default(), Instant::now())
}

fn call<'a>(database: &'a str, collection: &'a str) -> Finished<'a> {
    Finished {
        rpc: "Search",
        database: database.as_bytes(),
        collection: collection.as_bytes(),
        user: b"root",
        endpoint: b"10.0.0.1:19530",
        outcome: Outcome::Success,
        vouches: true,
        size: Size::default(),
        micros: 1_000,
    }
}

fn refused<'a>(database: &'a str, collection: &'a str) -> Finished<'a> {
    Finished { outcome: Outcome::Milvus(100), vouches: false, ..call(database, collection) }
}

fn calls(by_rpc: &ByRpc) -> u64 {
    by_rpc.iter().map(|(_, tally)| tally.calls).sum()
}

/// The collections and how many calls each got.
fn collections(table: &Table) -> Vec<(String, u64)> {
    let name = |key: &[u8]| String::from_utf8_lossy(key).replace('\0', "/");
    let found = table.collections.iter();
    let mut names: Vec<_> = found.map(|(key, by_rpc)| (name(key), calls(by_rpc))).collect();
    names.sort();
    names
}

#[test]
fn a_collection_has_a_place_once_milvus_has_vouched_for_it() {
    let (mut table, vouched, now) = new();

    table.record(&refused("d", "books"), &vouched, now);
    assert_eq!((0, 1), (collections(&table).len(), calls(&table.other_collections)));

    table.record(&call("d", "books"), &vouched, now);
    table.record(&refused("d", "books"), &vouched, now);

    assert_eq!([("d/books".to_owned(), 2)], collections(&table)[..]);
    assert_eq!(1, calls(&table.other_collections));
}

#[test]
fn what_one_worker_has_learned_another_one_knows() {
    let (mut table, vouched, now) = new();
    table.record(&call("d", "books"), &vouched, now);
    let mut other = Table::default();

    other.record(&refused("d", "books"), &vouched, now);

    assert_eq!([("d/books".to_owned(), 1)], collections(&other)[..]);
    assert_eq!(1, other.users.iter().count());
}

#[test]
fn names_that_a_stranger_makes_up_get_no_place() {
    let (mut table, vouched, now) = new();
    table.record(&call("d", "books"), &vouched, now);

    for number in 0..1_000_000 {
        let name = number.to_string();
        let stranger = Finished { user: name.as_bytes(), ..refused(&name, &name) };
        table.record(&stranger, &vouched, now);
    }

    assert_eq!([("d/books".to_owned(), 1)], collections(&table)[..]);
    assert_eq!(1, table.users.iter().count());
    assert_eq!(1_000_000, calls(&table.other_collections));
    assert_eq!(1_000_000, table.other_users.calls);
    assert_eq!(1, table.other_collections.len());
}

#[test]
fn however_many_collections_there_are_the_series_are_bounded_and_no_call_is_lost() {
    let (mut table, vouched, now) = new();
    for number in 0..2_000 {
        let name = format!("c{number}");
        for rpc in ["Search", "Query", "Insert", "Delete", "Upsert"] {
            let user = name.as_bytes();
            table.record(
                &Finished { rpc, user, endpoint: user, ..call("d", &name) },
                &vouched,
                now,
            );
        }
    }

    let series = table.collections.iter().map(|(_, by_rpc)| by_rpc.len()).sum::<usize>();
    let counted = table.collections.iter().map(|(_, by_rpc)| calls(by_rpc)).sum::<u64>();
    assert_eq!((MAX_COLLECTIONS, MAX_SERIES), (table.collections.iter().count(), series));
    assert_eq!(10_000, counted + calls(&table.other_collections));
    assert_eq!(MAX_USERS, table.users.iter().count());
    assert_eq!(MAX_ENDPOINTS, table.endpoints.iter().count());
}

#[test]
fn a_name_that_was_not_used_for_long_makes_room() {
    let (mut table, vouched, start) = new();
    for number in 0..MAX_COLLECTIONS {
        table.record(&call("d", &format!("c{number}")), &vouched, start);
    }
    let at = |seconds| start + Duration::from_secs(seconds);
    table.record(&call("d", "c0"), &vouched, at(500));

    table.record(&call("d", "new"), &vouched, at(599));
    assert!(!collections(&table).contains(&("d/new".to_owned(), 1)));
    table.record(&call("d", "new"), &vouched, at(601 + 60));

    let found = collections(&table);
    assert!(found.contains(&("d/new".to_owned(), 1)) && found.contains(&("d/c0".to_owned(), 2)));
    assert_eq!(MAX_COLLECTIONS, found.len());
}

#[test]
fn calls_without_a_collection_are_counted_by_rpc() {
    let (mut table, vouched, now) = new();

    for rpc in ["Connect", "GetVersion", "Connect"] {
        table.record(&Finished { rpc, vouches: false, ..call("", "") }, &vouched, now);
    }

    assert_eq!((2, 3), (table.without_collection.len(), calls(&table.without_collection)));
    assert_eq!(0, collections(&table).len());
}

#[test]
fn a_user_is_believed_once_a_call_has_succeeded() {
    let (mut table, vouched, now) = new();
    let failed = Outcome::Transport("UNAUTHENTICATED");

    table.record(&Finished { outcome: failed, ..refused("d", "c") }, &vouched, now);
    assert_eq!((0, 1), (table.users.iter().count(), table.other_users.calls));
    table.record(&call("d", "c"), &vouched, now);

    assert_eq!(vec![&b"root"[..]], table.users.iter().map(|(name, _)| name).collect::<Vec<_>>());
}

#[test]
fn a_stranger_who_knows_a_collection_makes_no_series() {
    let (mut table, vouched, now) = new();
    table.record(&call("d", "c"), &vouched, now);
    let stranger = Outcome::Transport("UNAUTHENTICATED");

    for rpc in ["Query", "Search", "Insert"] {
        table.record(&Finished { rpc, outcome: stranger, ..refused("d", "c") }, &vouched, now);
    }
    table.record(&Finished { rpc: "Query", ..refused("d", "c") }, &vouched, now);

    assert_eq!([("d/c".to_owned(), 3)], collections(&table)[..]);
    assert_eq!(2, calls(&table.other_collections));
}

#[test]
fn names_are_joined_and_taken_apart() {
    let mut room = [0; MAX_KEY];
    assert_eq!((&b"d"[..], &b"c"[..]), split(join(&mut room, b"d", b"c").unwrap()));
    assert_eq!((&b""[..], &b"c"[..]), split(join(&mut room, b"", b"c").unwrap()));
    assert!(join(&mut room, &[b'x'; 255], &[b'x'; 255]).is_some());
    assert!(join(&mut room, &[b'x'; 256], &[b'x'; 255]).is_none());
}
