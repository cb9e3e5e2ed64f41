//! The messages of testdata/messages.json, made by PyMilvus: the readers are tested with them, in every way in which
//! they may arrive, and with what strangers may make of them.

use crate::milvus::answer::Answer;
use crate::milvus::call::Call;
use crate::milvus::question::{Name, Question};
use crate::milvus::rpc::Rpc;
use crate::wire::encode::{delimited, framed};
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

/// Pieces of random sizes, mostly small.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
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

/// Changes some bytes: one bit, one value, one piece out, one piece twice, or a cut.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(4) {
        if bytes.is_empty() {
            return;
        }
        let at = random.below(bytes.len());
        let end = at + random.below((bytes.len() - at).min(32));
        match random.below(6) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff, 0x0a, 0x1a][random.below(7)],
            2 => drop(bytes.drain(at..end)),
            3 => {
                let piece = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, piece));
            }
            4 => bytes.truncate(at),
            _ => bytes.insert(at, random.next() as u8),
        }
    }
}

/// Feeds damaged messages to the readers. Nothing may panic, nothing may grow, and the pieces may make no difference.
///
/// `KITEWAY_FUZZ_RUNS` says how many; the default takes a second or two.
#[test]
fn damaged_messages_do_no_harm() {
    let runs = std::env::var("KITEWAY_FUZZ_RUNS").ok().and_then(|runs| runs.parse().ok());
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (questions, answers) = (cases("questions"), cases("answers"));
    for run in 0..runs.unwrap_or(50_000_u64) {
        let case = &questions[random.below(questions.len())];
        let mut bytes = case.bytes.clone();
        mutate(&mut bytes, &mut random);
        if run % 2 == 0 && bytes.len() > 5 {
            // The frame's length is right again, so that the damage is inside the message.
            let length = (bytes.len() - 5) as u32;
            bytes[1..5].copy_from_slice(&length.to_be_bytes());
        }
        let whole: (_, Question) = read(case.rpc.question, &bytes, || usize::MAX);
        let pieces: (_, Question) = read(case.rpc.question, &bytes, || random.below(9));
        assert_eq!(question_meaning(&whole.1), question_meaning(&pieces.1), "run {run}");
        assert_eq!(whole.0, pieces.0, "run {run}");
        assert!(question_meaning(&whole.1).iter().all(|(_, text)| text.len() <= 3 * 255));

        let case = &answers[random.below(answers.len())];
        let mut bytes = case.bytes.clone();
        mutate(&mut bytes, &mut random);
        let whole: (_, Answer) = read(case.rpc.answer, &bytes, || usize::MAX);
        let pieces: (_, Answer) = read(case.rpc.answer, &bytes, || 1 + random.below(40));
        assert_eq!(whole.0, pieces.0, "run {run}");
        assert_eq!(answer_meaning(&whole.1), answer_meaning(&pieces.1), "run {run}");
    }
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
