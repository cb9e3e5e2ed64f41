use super::*;
use crate::calls::tally::{Cached, Size};

fn new() -> (Table, Vouched, Instant) {
    (Table::default(), Vouched::default(), Instant::now())
}

const NOT_FOUND: Outcome = Outcome::Milvus(100);
const STRANGER: Outcome = Outcome::Transport("UNAUTHENTICATED");

fn call<'a>(database: &'a str, collection: &'a str) -> Subject<'a> {
    Subject {
        rpc: "Search",
        database: database.as_bytes(),
        collection: collection.as_bytes(),
        user: b"root",
        endpoint: b"10.0.0.1:19530",
        shows: Shows::Existence,
    }
}

/// A call that shows of no name that it exists.
fn refused<'a>(database: &'a str, collection: &'a str) -> Subject<'a> {
    Subject { shows: Shows::Nothing, ..call(database, collection) }
}

fn ended(outcome: Outcome) -> Event {
    Event::Ended { outcome, size: Size::default(), micros: 1_000 }
}

impl Table {
    fn good(&mut self, call: &Subject, vouched: &Vouched, now: Instant) {
        self.record(call, &[ended(Outcome::Success)], vouched, now);
    }

    fn bad(&mut self, call: &Subject, outcome: Outcome, vouched: &Vouched, now: Instant) {
        self.record(call, &[ended(outcome)], vouched, now);
    }
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

    table.bad(&refused("d", "books"), NOT_FOUND, &vouched, now);
    assert_eq!((0, 1), (collections(&table).len(), calls(&table.other_collections)));

    table.good(&call("d", "books"), &vouched, now);
    table.bad(&refused("d", "books"), NOT_FOUND, &vouched, now);

    assert_eq!([("d/books".to_owned(), 2)], collections(&table)[..]);
    assert_eq!(1, calls(&table.other_collections));
}

#[test]
fn what_one_worker_has_learned_another_one_knows() {
    let (mut table, vouched, now) = new();
    table.good(&call("d", "books"), &vouched, now);
    let mut other = Table::default();

    other.bad(&refused("d", "books"), NOT_FOUND, &vouched, now);

    assert_eq!([("d/books".to_owned(), 1)], collections(&other)[..]);
    assert_eq!(1, other.users.iter().count());
}

#[test]
fn names_that_a_stranger_makes_up_get_no_place() {
    let (mut table, vouched, now) = new();
    table.good(&call("d", "books"), &vouched, now);

    for number in 0..1_000_000 {
        let name = number.to_string();
        let stranger = Subject { user: name.as_bytes(), ..refused(&name, &name) };
        table.bad(&stranger, NOT_FOUND, &vouched, now);
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
            let call = Subject { rpc, user, endpoint: user, ..call("d", &name) };
            table.good(&call, &vouched, now);
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
        table.good(&call("d", &format!("c{number}")), &vouched, start);
    }
    let at = |seconds| start + Duration::from_secs(seconds);
    table.good(&call("d", "c0"), &vouched, at(500));

    table.good(&call("d", "new"), &vouched, at(599));
    assert!(!collections(&table).contains(&("d/new".to_owned(), 1)));
    table.good(&call("d", "new"), &vouched, at(601 + 60));

    let found = collections(&table);
    assert!(found.contains(&("d/new".to_owned(), 1)) && found.contains(&("d/c0".to_owned(), 2)));
    assert_eq!(MAX_COLLECTIONS, found.len());
}

#[test]
fn calls_without_a_collection_are_counted_by_rpc() {
    let (mut table, vouched, now) = new();

    for rpc in ["Connect", "GetVersion", "Connect"] {
        table.good(&Subject { rpc, ..refused("", "") }, &vouched, now);
    }

    assert_eq!((2, 3), (table.without_collection.len(), calls(&table.without_collection)));
    assert_eq!(0, collections(&table).len());
}

#[test]
fn a_user_is_believed_once_a_call_has_succeeded() {
    let (mut table, vouched, now) = new();

    table.bad(&refused("d", "c"), STRANGER, &vouched, now);
    assert_eq!((0, 1), (table.users.iter().count(), table.other_users.calls));
    table.good(&call("d", "c"), &vouched, now);

    assert_eq!(vec![&b"root"[..]], table.users.iter().map(|(name, _)| name).collect::<Vec<_>>());
}

#[test]
fn a_stranger_who_knows_a_collection_makes_no_series() {
    let (mut table, vouched, now) = new();
    table.good(&call("d", "c"), &vouched, now);

    for rpc in ["Query", "Search", "Insert"] {
        table.bad(&Subject { rpc, ..refused("d", "c") }, STRANGER, &vouched, now);
    }
    table.bad(&Subject { rpc: "Query", ..refused("d", "c") }, NOT_FOUND, &vouched, now);

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

#[test]
fn what_happens_on_the_way_makes_no_series_and_is_counted_with_the_call() {
    let (mut table, vouched, now) = new();
    let hit = [Event::Cached(Cached::Hit), ended(Outcome::Success)];
    table.record(&refused("d", "c"), &[Event::Refused], &vouched, now);
    assert_eq!((0, 1), (collections(&table).len(), table.other_users.refused));

    table.record(&call("d", "c"), &hit, &vouched, now);
    table.record(&refused("d", "c"), &[Event::Refused, Event::Waited(5)], &vouched, now);
    table.record(&Subject { rpc: "Query", ..refused("d", "c") }, &[Event::Refused], &vouched, now);

    let (_, by_rpc) = table.collections.iter().next().unwrap();
    let (_, user) = table.users.iter().next().unwrap();
    assert_eq!(1, by_rpc.len());
    let tally = &by_rpc[0].1;
    assert_eq!(([1, 0, 0, 0], 1, 1), (tally.cached, tally.calls, tally.refused));
    assert_eq!(([1, 0, 0, 0], 1, 2, 1), (user.cached, user.calls, user.refused, user.waited));
}
