//! What has one key, what has not, and what has none: with PyMilvus's requests, and with what strangers make of them.

pub mod corpus;
mod glances;
mod model;
mod speed;

use std::collections::{HashMap, HashSet};

use crate::cache::question::method::Method;
use crate::cache::question::suffix::Suffix;
use crate::cache::question::tests::corpus::{ask, CORPUS};
use crate::cache::question::{describe, learned, message_of};
use crate::cache::read::Level;
use crate::cache::reason::Reason;
use crate::wire::encode::{delimited, framed};
use crate::wire::fuzz::{damage, fuzz, Random};
use crate::wire::records::Records;

#[test]
fn variants_have_the_key_of_their_base_only_if_they_ask_for_the_same() {
    let mut keys = HashMap::new();
    let mut outcomes: HashMap<&str, u32> = HashMap::new();
    for question in &CORPUS.questions {
        let base = question.ask();
        assert_eq!(None, keys.insert(base.key, String::from("base")), "{}", question.name);
        for variant in &question.variants {
            let what = format!("{} that {}", question.name, variant.what);
            let read = ask(question.method, &variant.headers, &variant.message);
            *outcomes.entry(&variant.outcome).or_default() += 1;
            match variant.outcome.as_str() {
                "same" => assert_eq!(Ok(base.key), read.map(|read| read.key), "{what}"),
                "other" => {
                    let key = read.unwrap_or_else(|reason| panic!("{what}: {reason:?}")).key;
                    assert_eq!(None, keys.insert(key, what.clone()), "{what}");
                }
                reason => {
                    assert_eq!(Err(reason), read.map_err(Reason::label).map(|_| ()), "{what}");
                }
            }
        }
    }
    assert!(outcomes["same"] > 150 && outcomes["other"] > 150, "{outcomes:?}");
    assert_eq!(14, outcomes.len(), "{outcomes:?}");
}

#[test]
fn names_level_and_guarantee_are_read_as_they_were_meant() {
    for question in &CORPUS.questions {
        let base = question.ask();
        assert_eq!(("library", "books"), (base.database.as_str(), base.collection.as_str()));
        assert_eq!((None, 1), (base.level, base.guarantee), "{}", question.name);
        let wanted = question.variants.iter().filter_map(|each| Some((each, each.wants?)));
        for (variant, wants) in wanted {
            let read = ask(question.method, &variant.headers, &variant.message).unwrap();
            assert_eq!(wants, (read.level, read.guarantee), "{}", variant.what);
        }
    }
}

#[test]
fn the_database_is_the_messages_else_the_headers_else_the_default() {
    let question = &CORPUS.questions[0];
    let named = [&question.message[..], b"\x12\x01d"].concat();
    for (message, header, database) in [
        (&named, Some("library"), "d"),
        (&named, None, "d"),
        (&question.message, Some("library"), "library"),
        (&question.message, Some(""), "default"),
        (&question.message, None, "default"),
    ] {
        let headers = header.map(|value| (String::from("dbname"), String::from(value)));
        let read = ask(Method::Search, &headers.into_iter().collect(), message).unwrap();
        assert_eq!(database, read.database);
    }
}

#[test]
fn what_is_learned_of_a_collection_belongs_to_its_name_and_the_headers() {
    let [search, _, hybrid, query] = &CORPUS.questions[..] else { panic!("four questions") };
    let expected = search.ask().collection_key;
    assert_eq!(expected, hybrid.ask().collection_key);
    assert_eq!(expected, query.ask().collection_key);
    let variants = search.variants.iter();
    for variant in variants.filter(|each| matches!(each.outcome.as_str(), "same" | "other")) {
        let read = ask(search.method, &variant.headers, &variant.message).unwrap();
        let is_elsewhere = ["changes db_name", "changes collection_name"]
            .contains(&variant.what.as_str())
            || variant.outcome == "other" && variant.headers != search.headers;
        assert_eq!(is_elsewhere, read.collection_key != expected, "{}", variant.what);
    }
}

#[test]
fn one_message_means_something_else_to_each_method() {
    let methods = [Method::Search, Method::HybridSearch, Method::Query];
    let key = |method| ask(method, &Vec::new(), b"\x1a\x05books").unwrap().key;

    let keys: HashSet<_> = methods.map(key).into();
    assert_eq!(methods.len(), keys.len());
}

#[test]
fn what_is_in_a_part_and_what_is_beside_it_are_told_apart() {
    // Field 99 has no meaning. Field 9 has parameters in a search, and is a number in a hybrid search.
    let unknown = [0x9a, 6, 1, b'x'];
    let parameter = delimited(9, &delimited(1, b"k"));
    let part = |fields: &[u8]| delimited(5, fields);
    let messages = [
        [part(b""), part(b"")].concat(),
        [part(b""), unknown.to_vec()].concat(),
        [unknown.to_vec(), part(b"")].concat(),
        part(&unknown),
        [part(b""), parameter.clone()].concat(),
        [parameter.clone(), part(b"")].concat(),
        part(&parameter),
        [part(&parameter), part(b"")].concat(),
        [part(b""), part(&parameter)].concat(),
    ];
    let key = |message: &Vec<u8>| ask(Method::HybridSearch, &Vec::new(), message).unwrap().key;

    let keys: HashSet<_> = messages.iter().map(key).collect();
    assert_eq!(messages.len(), keys.len());
}

#[test]
fn a_fill_has_the_key_of_its_read_and_waits_for_the_timestamp() {
    for question in &CORPUS.questions {
        let expected = question.ask().key;
        for upto in [1, 300, 464_000_000_000_000_000, u64::MAX] {
            let suffix = Suffix::asking_for(question.method, upto);
            let fill = [&question.message[..], suffix.bytes()].concat();

            let read = ask(question.method, &question.headers, &fill).unwrap();
            assert_eq!((expected, upto), (read.key, read.guarantee));
            let level = if upto == 1 { Level::Eventually } else { Level::Customized };
            assert_eq!(Some(level), read.level);
        }
    }
}

#[test]
fn only_one_whole_plain_message_is_taken() {
    let body = framed(b"hello");
    assert_eq!(Ok(&b"hello"[..]), message_of(&body));
    assert_eq!(Ok(&b""[..]), message_of(&framed(b"")));
    for length in 0..body.len() {
        assert_eq!(Err(Reason::Unreadable), message_of(&body[..length]));
    }
    assert_eq!(Err(Reason::Unreadable), message_of(&[&body[..], b"x"].concat()));
    assert_eq!(Err(Reason::Compressed), message_of(&[&[1], &body[1..]].concat()));
    assert_eq!(Err(Reason::Unreadable), message_of(&[&[2], &body[1..]].concat()));
}

#[test]
fn a_collection_is_described_by_its_names() {
    let described = describe(&CORPUS.questions[0].ask());

    assert_eq!(Ok(&b"\x12\x07library\x1a\x05books"[..]), message_of(&described));
}

/// Changes a message: some bytes, or the order or the number of its fields.
fn mutate(message: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = message.to_vec();
    let at = random.below(bytes.len());
    let mut records: Vec<&[u8]> =
        Records::new(message).map_while(|each| Some(each.ok()?.bytes)).collect();
    let (one, two) = (random.below(records.len()), random.below(records.len()));
    match random.below(7) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = [0, 1, 2, 0x7f, 0x80, 0xff, 0x0a, 0x58, 0x70, 0x78][random.below(10)],
        2 => drop(bytes.remove(at)),
        3 => bytes.insert(at, random.below(256) as u8),
        _ if records.is_empty() => {}
        4 => records.swap(one, two),
        5 => records.insert(one, records[two]),
        _ => drop(records.remove(one)),
    }
    if bytes == message {
        records.concat()
    } else {
        bytes
    }
}

/// Two messages have one key exactly if they ask for the same, however they were damaged. Nothing may panic.
#[test]
fn fuzz_keys() {
    let (mut equal, mut unequal) = (0, 0);
    let executions = fuzz("keys of the cache", 10_000, |random| {
        let question = random.one(&CORPUS.questions);
        let one = &random.one(&question.variants).message;
        let mut two = mutate(one, random);
        if random.below(4) == 0 {
            two = mutate(&two, random);
        }
        let key = |message: &[u8]| {
            ask(question.method, &question.headers, message).ok().map(|read| read.key)
        };
        let (Some(key_of_one), Some(key_of_two)) = (key(one), key(&two)) else { return };
        let kind = format!("{:?}", question.method);
        let model = |message: &[u8]| CORPUS.kinds.model(&kind, message);
        assert_eq!(model(one) == model(&two), key_of_one == key_of_two, "{two:02x?}");
        if key_of_one == key_of_two {
            equal += 1;
        } else {
            unequal += 1;
        }
    });
    assert!(equal > executions / 30 && unequal > executions / 4, "{equal} {unequal}");
}

/// Any damage to a question and to the answers to the cache's own calls, without the model.
#[test]
fn fuzz_what_the_cache_reads() {
    let described = [&[0x0a, 0][..], &delimited(2, b"schema"), &[11 << 3, 2]].concat();
    let allocation = [&[0x0a, 0][..], &[2 << 3, 0xff, 0xff, 3]].concat();
    fuzz("what the cache reads", 20_000, |random| {
        let question = random.one(&CORPUS.questions);
        let mut bytes = framed(&random.one(&question.variants).message);
        damage(&mut bytes, random);
        if let Ok(message) = message_of(&bytes) {
            let _ = ask(question.method, &question.headers, message);
        }
        let _ = ask(question.method, &question.headers, bytes.get(5..).unwrap_or_default());
        let mut bytes = described.clone();
        damage(&mut bytes, random);
        let _ = learned::described(&bytes);
        let mut bytes = allocation.clone();
        damage(&mut bytes, random);
        let _ = learned::allocated(&bytes);
    });
}
