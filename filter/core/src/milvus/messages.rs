//! The messages of testdata/messages.json, made by PyMilvus: the readers are tested with them, in every way in which
//! they may arrive, and with what strangers may make of them.

use crate::milvus::answer::Answer;
use crate::milvus::call::Call;
use crate::milvus::milvus_status::{code, readiness, Readiness};
use crate::milvus::question::{Name, Question};
use crate::milvus::rpc::Rpc;
use crate::wire::encode::{delimited, framed};
use crate::wire::fuzz::{damage, fuzz, Random};
use crate::wire::json::{parse_object, Object, Value};
use crate::wire::stream::{Progress, Reader, Schema, Sink};

const MESSAGES: &str = include_str!("../../../testdata/messages.json");

struct Case {
    rpc: &'static Rpc,
    /// The message, framed.
    bytes: Vec<u8>,
    meaning: Object,
}

fn cases(kind: &str) -> Vec<Case> {
    let mut object = parse_object(MESSAGES.as_bytes()).unwrap();
    let Some(Value::List(cases)) = object.take(kind) else { panic!("no {kind}") };
    let case = |case| {
        let Value::Object(mut case) = case else { panic!("{case}") };
        let method = case.take_text("rpc").unwrap().unwrap();
        let services = ["MilvusService", "ClientTelemetryService"];
        let rpc = services.iter().find_map(|service| {
            let path = format!("/milvus.proto.milvus.{service}/{method}");
            match Call::of_grpc(Some(path.as_bytes())) {
                Call::Milvus(rpc) => Some(rpc),
                _ => None,
            }
        });
        let Some(Value::Object(meaning)) = case.take("meaning") else { panic!("{method}") };
        let digits = case.take_text("message").unwrap().unwrap();
        let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
        let message: Vec<u8> = (0..digits.len()).step_by(2).map(byte).collect();
        Case { rpc: rpc.unwrap(), bytes: framed(&message), meaning }
    };
    cases.into_iter().map(case).collect()
}

/// What a sink knows after `bytes` have come in pieces of the sizes that `size` gives.
fn read<K: Copy, S: Sink<K> + Default>(
    schema: Schema<K>,
    bytes: &[u8],
    mut size: impl FnMut() -> usize,
) -> (Progress, S) {
    let (mut reader, mut sink) = (Reader::new(schema), S::default());
    let mut rest = bytes;
    while !rest.is_empty() {
        let (piece, later) = rest.split_at(size().clamp(1, rest.len()));
        reader.push(piece, &mut sink);
        rest = later;
    }
    (reader.progress(), sink)
}

/// The parts of a meaning. What is empty, 0, false or the level strong is left out, as in the cases.
fn question_meaning(question: &Question) -> Vec<(&'static str, String)> {
    let text = |name: &Name| String::from_utf8_lossy(name.bytes()).into_owned();
    let number = |value: u64| if value == 0 { String::new() } else { value.to_string() };
    let mut meaning = vec![
        ("database", text(&question.database)),
        ("collection", text(&question.collection)),
        ("collections", number(question.collections)),
        ("alias", text(&question.alias)),
        ("new_database", text(&question.new_database)),
        ("new_collection", text(&question.new_collection)),
        ("partitions", number(question.partitions)),
        ("output_fields", number(question.output_fields)),
        ("queries", number(question.queries)),
        ("limit", number(question.limit)),
        ("sub_searches", number(question.sub_searches)),
        ("sub_limit", number(question.sub_limit)),
        ("rows", number(question.rows)),
        ("guarantee", number(question.guarantee)),
        ("iterator", String::from(if question.is_iterator { "true" } else { "" })),
        ("level", format!("{:?}", question.level()).to_lowercase().replace("strong", "")),
    ];
    meaning.retain(|(_, value)| !value.is_empty());
    meaning
}

fn answer_meaning(answer: &Answer) -> Vec<(&'static str, String)> {
    let mut meaning = vec![
        ("code", answer.code.to_string()),
        ("error_code", answer.error_code.to_string()),
        ("rows", answer.rows.to_string()),
    ];
    meaning.retain(|(_, value)| value != "0");
    meaning
}

/// Checks that what was read is the meaning of the case, no more and no less.
fn assert_meaning(case: &Case, read: &[(&'static str, String)]) {
    let mut expected = case.meaning.clone();
    for (key, value) in read {
        let wanted = match expected.take(key) {
            Some(Value::Text(text)) => text,
            Some(Value::Number(number)) => (number as u64).to_string(),
            Some(other) => other.to_string(),
            None => String::new(),
        };
        assert_eq!(&wanted, value, "{key} of {}", case.rpc.name);
    }
    assert_eq!(Ok(()), expected.finish(), "{}", case.rpc.name);
}

#[test]
fn every_request_is_read_as_pymilvus_meant_it() {
    let cases = cases("questions");
    assert!(cases.len() > 140);
    for case in &cases {
        let (progress, question) = read(case.rpc.question, &case.bytes, || usize::MAX);

        assert_eq!(Progress::Complete, progress, "{}", case.rpc.name);
        assert_meaning(case, &question_meaning(&question));
    }
}

#[test]
fn every_answer_is_read_as_milvus_meant_it() {
    let cases = cases("answers");
    assert!(cases.len() > 140);
    for case in &cases {
        let (progress, answer) = read::<_, Answer>(case.rpc.answer, &case.bytes, || usize::MAX);

        assert_eq!(Progress::Complete, progress, "{}", case.rpc.name);
        assert_meaning(case, &answer_meaning(&answer));
        let refused = case.meaning.clone().take("code").is_some();
        assert_eq!(!refused, answer.code == 0);
    }
}

#[test]
fn it_makes_no_difference_how_a_message_arrives() {
    for case in &cases("questions") {
        for size in [1, 2, 3, 7, 64, 1000] {
            let (_, question) = read(case.rpc.question, &case.bytes, || size);
            assert_meaning(case, &question_meaning(&question));
        }
        for cut in 0..case.bytes.len().min(400) {
            let mut sizes = [cut, usize::MAX].into_iter().filter(|size| *size > 0);
            let (_, question) = read(case.rpc.question, &case.bytes, || sizes.next().unwrap());
            assert_meaning(case, &question_meaning(&question));
        }
    }
    for case in &cases("answers") {
        for size in [1, 2, 3, 7, 64, 1000] {
            let (_, answer) = read::<_, Answer>(case.rpc.answer, &case.bytes, || size);
            assert_meaning(case, &answer_meaning(&answer));
        }
    }
}

/// A message as a client sent it, with some damage.
fn damaged(cases: &[Case], random: &mut Random) -> (&'static Rpc, Vec<u8>) {
    let case = random.one(cases);
    let mut bytes = case.bytes.clone();
    damage(&mut bytes, random);
    if random.below(2) == 0 && bytes.len() > 5 {
        // The frame's length is right again, so that the damage is inside the message.
        let length = (bytes.len() - 5) as u32;
        bytes[1..5].copy_from_slice(&length.to_be_bytes());
    }
    (case.rpc, bytes)
}

/// Nothing may panic, nothing may grow, and the pieces may make no difference.
#[test]
fn fuzz_questions() {
    let questions = cases("questions");
    fuzz("questions", 50_000, |random| {
        let (rpc, bytes) = damaged(&questions, random);
        let whole: (_, Question) = read(rpc.question, &bytes, || usize::MAX);
        let pieces: (_, Question) = read(rpc.question, &bytes, || random.below(9));
        assert_eq!(question_meaning(&whole.1), question_meaning(&pieces.1), "{bytes:02x?}");
        assert_eq!(whole.0, pieces.0, "{bytes:02x?}");
        assert!(question_meaning(&whole.1).iter().all(|(_, text)| text.len() <= 3 * 255));
    });
}

/// As `fuzz_questions`, and the status is found in the whole answer and in any beginning of it without a panic.
#[test]
fn fuzz_answers() {
    let answers = cases("answers");
    fuzz("answers", 50_000, |random| {
        let (rpc, bytes) = damaged(&answers, random);
        let whole: (_, Answer) = read(rpc.answer, &bytes, || usize::MAX);
        let pieces: (_, Answer) = read(rpc.answer, &bytes, || 1 + random.below(40));
        assert_eq!(whole.0, pieces.0, "{bytes:02x?}");
        assert_eq!(answer_meaning(&whole.1), answer_meaning(&pieces.1), "{bytes:02x?}");
        let head = &bytes[..random.below(bytes.len() + 1)];
        if readiness(head, rpc.milvus_status) != Readiness::Unknown {
            assert_eq!(readiness(head, rpc.milvus_status), readiness(&bytes, rpc.milvus_status));
        }
        let _ = code(head, rpc.milvus_status);
    });
}

#[test]
fn of_a_name_that_is_given_twice_the_last_counts_as_in_protobuf() {
    for (method, number, collection, collections) in
        [("Search", 3, "b", 1), ("Flush", 3, "a", 2), ("ShowCollections", 5, "a", 2)]
    {
        let path = format!("/milvus.proto.milvus.MilvusService/{method}");
        let Call::Milvus(rpc) = Call::of_grpc(Some(path.as_bytes())) else { panic!() };
        let message = [b"a", b"b"].map(|name| delimited(number, name)).concat();
        for size in [1, 1000] {
            let (_, question) = read::<_, Question>(rpc.question, &framed(&message), || size);

            let read = (question.collection.bytes(), question.collections);
            assert_eq!((collection.as_bytes(), collections), read, "{method} {size}");
        }
    }
}

#[test]
fn a_million_fields_and_deep_nesting_are_bounded() {
    let Call::Milvus(rpc) = Call::of_grpc(Some(b"/milvus.proto.milvus.MilvusService/Search"))
    else {
        panic!();
    };
    let one = [0x1a, 1, b'c'];
    let many = framed(&one.repeat(1_000_000));
    let deep = (0..2_000).fold(Vec::new(), |inner, _| {
        let length = inner.len();
        let mut message = vec![0x8a, 1, 0x80 | (length & 0x7f) as u8, (length >> 7) as u8];
        message.extend(inner);
        message
    });

    let (progress, question) = read::<_, Question>(rpc.question, &many, || 4096);
    assert_eq!((Progress::Complete, 1), (progress, question.collections));
    assert_eq!(b"c", question.collection.bytes());

    let (progress, question) = read::<_, Question>(rpc.question, &framed(&deep), || 4096);
    assert_eq!((Progress::Complete, 1), (progress, question.sub_searches));
}
