use super::*;
use crate::wire::encode::framed;

const INNER: Schema<char> = &[Field::new(1, Kind::Text('t')), Field::new(2, Kind::Number('v'))];
const SCHEMA: Schema<char> = &[
    Field::new(1, Kind::Text('a')),
    Field::new(2, Kind::Number('n')),
    Field::new(3, Kind::Message('m', INNER)),
    Field::new(4, Kind::Numbers('p')),
    Field::new(5, Kind::PackedVarints('c')),
    Field::new(6, Kind::Length('l')),
];

#[derive(Debug, Default, PartialEq)]
struct Events(Vec<String>);

impl Sink<char> for Events {
    fn number(&mut self, key: char, value: u64) {
        self.0.push(format!("{key}={value}"));
    }
    fn text(&mut self, key: char, piece: &[u8], first: bool) {
        let piece = String::from_utf8_lossy(piece);
        match self.0.last_mut() {
            Some(last) if !first => last.push_str(&piece),
            _ => self.0.push(format!("{key}:{piece}")),
        }
    }
    fn begin(&mut self, key: char) {
        self.0.push(format!("{key}("));
    }
    fn end(&mut self, key: char) {
        self.0.push(format!("){key}"));
    }
}

fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Progress, Vec<String>) {
    let (mut reader, mut events) = (Reader::new(SCHEMA), Events::default());
    for piece in pieces {
        reader.push(piece, &mut events);
    }
    (reader.progress(), events.0)
}

/// Every kind of field, each between fields that are not wanted.
fn everything() -> Vec<u8> {
    let mut message = vec![0x0a, 2, b'h', b'i', 0x78, 1, 0x10, 0x96, 1];
    message.extend([0x7a, 3, 1, 2, 3, 0x1a, 7, 0x0a, 1, b'x', 0x10, 5, 0x28, 1]);
    message.extend([0x1a, 0, 0x22, 3, 7, 0x80, 1, 0x20, 9, 0x2a, 4, 1, 0x80, 1, 2]);
    message.extend([0x0a, 0, 0x32, 2, 0, 0, 0x7d, 0, 0, 0, 0, 0x79, 0, 0, 0, 0, 0, 0, 0, 0]);
    framed(&message)
}

const EVERYTHING: [&str; 14] = [
    "a:hi", "n=150", "m(", "t:x", "v=5", ")m", "m(", ")m", "p=7", "p=128", "p=9", "c=3", "a:",
    "l=2",
];

#[test]
fn the_sink_gets_the_wanted_fields() {
    let bytes = everything();

    let (progress, events) = read([&bytes[..]]);

    assert_eq!(
        (Progress::Complete, &EVERYTHING[..]),
        (progress, &events.iter().map(String::as_str).collect::<Vec<_>>()[..])
    );
}

#[test]
fn it_makes_no_difference_how_the_bytes_arrive() {
    /// The counts of a packed field come in pieces.
    fn added(events: Vec<String>) -> Vec<String> {
        let count = |event: &String| event.strip_prefix("c=")?.parse::<u64>().ok();
        let total: u64 = events.iter().filter_map(count).sum();
        let mut rest: Vec<_> = events.into_iter().filter(|e| !e.starts_with("c=")).collect();
        rest.push(format!("c={total}"));
        rest
    }
    let bytes = everything();
    let (_, events) = read([&bytes[..]]);
    let whole = added(events);

    for size in 1..bytes.len() {
        let (progress, events) = read(bytes.chunks(size));
        assert_eq!((Progress::Complete, &whole), (progress, &added(events)), "{size}");
    }
    for cut in 0..bytes.len() {
        assert_eq!(Progress::Reading, read([&bytes[..cut]]).0, "{cut}");
        let (first, second) = bytes.split_at(cut);
        assert_eq!(whole, added(read([first, second]).1), "{cut}");
    }
}

#[test]
fn what_follows_the_message_is_ignored() {
    let two = [framed(&[0x10, 1]), framed(&[0x10, 2])].concat();

    assert_eq!((Progress::Complete, vec!["n=1".to_owned()]), read([&two[..]]));
    assert_eq!((Progress::Complete, Vec::new()), read([&framed(&[])[..]]));
}

#[test]
fn a_compressed_message_is_not_read() {
    assert_eq!(Progress::Compressed, read([&[1, 0, 0, 0, 2, 0x10, 1][..]]).0);
}

#[test]
fn what_cannot_be_a_message_is_malformed() {
    for message in [
        &[0x0a, 5, b'a'][..],      // a text longer than its message
        &[0x1a, 2, 0x0a, 5, b'a'], // the same inside a message
        &[0x7a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
        &[0x80; 11],                  // a varint without end
        &[0x10, 0x80],                // a varint cut by its message
        &[0x1a, 2, 0x10, 0x80, 0x10], // the same inside a message
        &[0x22, 11, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80],
        &[0x10],                // a field without value
        &[0x00, 0x00],          // field number 0
        &[0x0b],                // a group without end
        &[0x0b, 0x0c, 0x0c],    // an end without group
        &[0x7b, 0x00, 0x7c],    // field number 0 in a group
        &[0x1a, 1, 0x7b, 0x7c], // a group that is longer than its message
        &[0x0f],                // wire type 7
        &[0x7d, 0, 0],          // half a fixed32
    ] {
        let bytes = [&framed(message)[..], &[0; 8]].concat();
        assert_eq!(Progress::Malformed, read([&bytes[..]]).0, "{message:?}");
    }
}

#[test]
fn groups_are_skipped_with_what_is_in_them() {
    // Go's protobuf, and so Milvus, skips a group that it does not know. This one has all wanted fields and a group in it.
    let mut group = vec![0x7b];
    group.extend([0x0a, 1, b'x', 0x10, 1, 0x1a, 2, 0x10, 5, 0x20, 7, 0x2a, 1, 1, 0x32, 1, 0]);
    group.extend([0x0b, 0x10, 2, 0x0c, 0x7d, 0, 0, 0, 0, 0x79, 0, 0, 0, 0, 0, 0, 0, 0, 0x7c]);
    for group in [&group[..], &[0x7b, 0x7c], &[0x0b, 0x0c]] {
        let inner = [group, &[0x10, 5]].concat();
        let message = [group, &[0x0a, 1, b'a'], group, &[0x1a, inner.len() as u8], &inner, group];
        let bytes = framed(&message.concat());
        for size in [1, 2, 3, 7, usize::MAX] {
            let (progress, events) = read(bytes.chunks(size));

            assert_eq!(Progress::Complete, progress, "{group:?} {size}");
            assert_eq!(["a:a", "m(", "v=5", ")m"], events[..], "{group:?} {size}");
        }
    }
    let deep = [&[0x7b; 9000][..], &[0x7c; 9000], &[0x10, 5]].concat();
    assert_eq!((Progress::Complete, vec!["n=5".to_owned()]), read([&framed(&deep)[..]]));
}

#[test]
fn another_wire_type_is_skipped() {
    // Field 1 as a number, field 2 as a text, field 3 as a number, field 4 as a fixed32.
    let message = [0x08, 1, 0x12, 1, b'x', 0x18, 1, 0x25, 0, 0, 0, 0];

    assert_eq!((Progress::Complete, Vec::new()), read([&framed(&message)[..]]));
}

#[test]
fn an_announced_length_allocates_nothing() {
    // A frame of 1 GiB with a skipped field of as much.
    let head = [0, 0x40, 0, 0, 6, 0x7a, 0x80, 0x80, 0x80, 0x80, 4];
    let (mut reader, mut events) = (Reader::new(SCHEMA), Events::default());
    reader.push(&head, &mut events);
    let piece = vec![0xff; 1 << 20];
    for _ in 0..1024 {
        assert_eq!(Progress::Reading, reader.progress());
        reader.push(&piece, &mut events);
    }
    assert_eq!((Progress::Complete, 0), (reader.progress(), events.0.len()));
    assert!(std::mem::size_of::<Reader<char>>() <= 300);
}

#[test]
fn deeper_messages_than_the_limit_are_skipped() {
    static DEEP: [Field<char>; 2] =
        [Field::new(1, Kind::Message('d', &DEEP)), Field::new(2, Kind::Number('n'))];
    let mut message = vec![0x10, 1];
    for _ in 0..20 {
        message = [&[0x0a, message.len() as u8][..], &message].concat();
    }
    let (mut reader, mut events) = (Reader::new(&DEEP), Events::default());

    reader.push(&framed(&message), &mut events);

    assert_eq!((Progress::Complete, 10), (reader.progress(), events.0.len()));
}
