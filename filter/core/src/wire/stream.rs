//! Reads one gRPC message while its bytes pass, piece by piece.
//!
//! A schema names the fields that are wanted; all others are skipped by their length, without a look at their bytes.
//! The state has a fixed size. Nothing is kept of the message, and no length that the message announces is allocated:
//! the sink gets each text in the pieces in which it arrives.

pub use crate::wire::progress::Progress;
use crate::wire::schema::kind_of;
pub use crate::wire::schema::{Field, Kind, Schema, Sink};
use crate::wire::varint::{whole_varint, Varint};

/// Messages inside messages, the outermost one included. Deeper ones are skipped.
const MAX_DEPTH: usize = 6;
const MAX_FIELD_NUMBER: u64 = (1 << 29) - 1;
const PREFIX: usize = 5;

/// Reads one message.
#[derive(Debug)]
pub struct Reader<K: 'static> {
    state: State<K>,
    /// The length of the message, once its prefix has been read.
    length: u32,
    /// The messages that are open, innermost last.
    open: [Option<Open<K>>; MAX_DEPTH],
    depth: usize,
    /// The groups that are open in the innermost message, whose fields are skipped. The numbers of their ends are not checked.
    groups: u32,
    schema: Schema<K>,
}

/// A message whose end has not arrived.
#[derive(Clone, Copy, Debug)]
struct Open<K: 'static> {
    schema: Schema<K>,
    /// Bytes of it that have not arrived, without those of the field that is being read.
    left: u64,
    /// None for the outermost one.
    key: Option<K>,
}

#[derive(Clone, Copy, Debug)]
enum State<K: 'static> {
    Prefix([u8; PREFIX], usize),
    Tag(Varint),
    /// A varint field, of which the sink gets the value if it is wanted.
    Value(Option<K>, Varint),
    /// The length of a field.
    Length(Option<Kind<K>>, Varint),
    Skip(u64),
    Text(K, u64, bool),
    Numbers(K, u64, Varint),
    PackedVarints(K, u64),
    Stopped(Progress),
}

impl<K: Copy> Reader<K> {
    pub fn new(schema: Schema<K>) -> Self {
        Self {
            state: State::Prefix([0; PREFIX], 0),
            length: 0,
            open: [None; MAX_DEPTH],
            depth: 0,
            groups: 0,
            schema,
        }
    }

    pub fn progress(&self) -> Progress {
        match self.state {
            State::Stopped(progress) => progress,
            _ => Progress::Reading,
        }
    }

    /// The bytes of the message with its prefix, as the prefix announces them; 0 while it has not arrived.
    pub fn bytes(&self) -> u64 {
        match self.state {
            State::Prefix(..) => 0,
            _ => u64::from(self.length) + PREFIX as u64,
        }
    }

    /// Reads the next piece of the stream.
    pub fn push(&mut self, piece: &[u8], sink: &mut impl Sink<K>) {
        let mut rest = piece;
        while !rest.is_empty() {
            rest = self.fields(rest, sink);
            if !rest.is_empty() {
                rest = self.step(rest, sink);
            }
        }
    }

    /// Reads fields as long as they lie whole in `bytes`, which most do, and returns the rest. It does what `step` does, in a
    /// tenth of the time.
    fn fields<'a>(&mut self, mut bytes: &'a [u8], sink: &mut impl Sink<K>) -> &'a [u8] {
        if let State::Prefix(_, 0) = self.state {
            let Some((prefix, rest)) = bytes.split_first_chunk() else { return bytes };
            self.prefix(*prefix, sink);
            bytes = rest;
        }
        while let State::Tag(Varint { bits: 0, .. }) = self.state {
            let before = bytes.len();
            bytes = self.flat_fields(bytes, sink);
            if bytes.len() == before {
                break;
            }
        }
        bytes
    }

    /// Reads fields of the innermost message, and enters or leaves one message at most.
    fn flat_fields<'a>(&mut self, mut bytes: &'a [u8], sink: &mut impl Sink<K>) -> &'a [u8] {
        let Some(open) = self.innermost() else { return bytes };
        let (mut schema, mut left) = (open.schema, open.left);
        if self.groups > 0 {
            schema = &[];
        }
        let mut message = None;
        while left > 0 {
            let Some((tag, after_tag)) = whole_varint(bytes) else { break };
            // The value of a varint, or the length of a content.
            let (value, content) = match tag & 7 {
                0 | 2 => match whole_varint(after_tag) {
                    Some(found) => found,
                    None => break,
                },
                1 => (8, after_tag),
                5 => (4, after_tag),
                _ => break,
            };
            let (number, is_varint) = (tag >> 3, tag & 7 == 0);
            let length = if is_varint { 0 } else { value };
            let used = (bytes.len() - content.len()) as u64;
            let Some(after) = left.checked_sub(used).and_then(|left| left.checked_sub(length))
            else {
                break;
            };
            if number == 0 || number > MAX_FIELD_NUMBER {
                break;
            }
            let kind = kind_of(schema, number);
            match (tag & 7, kind) {
                (0, Some(Kind::Number(key) | Kind::Numbers(key))) => sink.number(key, value),
                (
                    2,
                    Some(kind @ (Kind::Message(..) | Kind::Numbers(_) | Kind::PackedVarints(_))),
                ) => {
                    left -= used;
                    bytes = content;
                    message = Some((kind, value));
                    break;
                }
                _ if length > content.len() as u64 => break,
                (2, Some(Kind::Text(key))) => sink.text(key, split(content, length).0, true),
                (2, Some(Kind::Length(key))) => sink.number(key, value),
                _ => {}
            }
            left = after;
            bytes = split(content, length).1;
        }
        if let Some(open) = self.innermost() {
            open.left = left;
        }
        if let Some((kind, length)) = message {
            if self.delimited(Some(kind), length, sink).is_err() {
                self.state = State::Stopped(Progress::Malformed);
            }
        } else if left == 0 {
            self.next_field(sink);
        }
        bytes
    }

    /// Reads at least one byte, and returns the rest.
    fn step<'a>(&mut self, bytes: &'a [u8], sink: &mut impl Sink<K>) -> &'a [u8] {
        match self.state {
            State::Stopped(_) => &[],
            State::Prefix(..) | State::Tag(_) | State::Value(..) | State::Length(..) => {
                let Some((byte, rest)) = bytes.split_first() else { return bytes };
                self.byte(*byte, sink);
                rest
            }
            State::Skip(left) => {
                let (piece, rest) = split(bytes, left);
                self.advance(left, piece, sink, State::Skip);
                rest
            }
            State::Text(key, left, first) => {
                let (piece, rest) = split(bytes, left);
                sink.text(key, piece, first);
                self.advance(left, piece, sink, |left| State::Text(key, left, false));
                rest
            }
            State::PackedVarints(key, left) => {
                let (piece, rest) = split(bytes, left);
                sink.number(key, piece.iter().filter(|byte| **byte < 0x80).count() as u64);
                self.advance(left, piece, sink, |left| State::PackedVarints(key, left));
                rest
            }
            State::Numbers(key, left, mut varint) => {
                let (piece, rest) = split(bytes, left);
                for byte in piece {
                    match varint.take(*byte) {
                        Ok(None) => {}
                        Ok(Some(value)) => {
                            sink.number(key, value);
                            varint = Varint::default();
                        }
                        Err(()) => {
                            self.state = State::Stopped(Progress::Malformed);
                            return rest;
                        }
                    }
                }
                self.advance(left, piece, sink, |left| State::Numbers(key, left, varint));
                rest
            }
        }
    }

    /// Goes on after a piece of a field of which `left` bytes were to come.
    fn advance(
        &mut self,
        left: u64,
        piece: &[u8],
        sink: &mut impl Sink<K>,
        state: impl FnOnce(u64) -> State<K>,
    ) {
        let left = left.saturating_sub(piece.len() as u64);
        if left == 0 {
            self.next_field(sink);
        } else {
            self.state = state(left);
        }
    }

    /// Reads a byte of a prefix or of a varint.
    fn byte(&mut self, byte: u8, sink: &mut impl Sink<K>) {
        if let State::Prefix(mut prefix, have) = self.state {
            prefix[have] = byte;
            self.state = State::Prefix(prefix, have + 1);
            if have + 1 == PREFIX {
                self.prefix(prefix, sink);
            }
            return;
        }
        if self.field_byte(byte, sink).is_err() {
            self.state = State::Stopped(Progress::Malformed);
        }
    }

    fn prefix(&mut self, prefix: [u8; PREFIX], sink: &mut impl Sink<K>) {
        let [flag, length @ ..] = prefix;
        self.length = u32::from_be_bytes(length);
        if flag != 0 {
            self.state = State::Stopped(Progress::Compressed);
            return;
        }
        self.open[0] = Some(Open { schema: self.schema, left: u64::from(self.length), key: None });
        self.depth = 1;
        self.next_field(sink);
    }

    /// Reads a byte of a tag, of a varint field, or of a length.
    fn field_byte(&mut self, byte: u8, sink: &mut impl Sink<K>) -> Result<(), ()> {
        let open = self.innermost().ok_or(())?;
        open.left = open.left.checked_sub(1).ok_or(())?;
        match self.state {
            State::Tag(mut varint) => match varint.take(byte)? {
                None => self.state = State::Tag(varint),
                Some(tag) => self.tag(tag, sink)?,
            },
            State::Value(key, mut varint) => match varint.take(byte)? {
                None => self.state = State::Value(key, varint),
                Some(value) => {
                    if let Some(key) = key {
                        sink.number(key, value);
                    }
                    self.next_field(sink);
                }
            },
            State::Length(kind, mut varint) => match varint.take(byte)? {
                None => self.state = State::Length(kind, varint),
                Some(length) => self.delimited(kind, length, sink)?,
            },
            _ => return Err(()),
        }
        Ok(())
    }

    /// Begins the field of a tag.
    fn tag(&mut self, tag: u64, sink: &mut impl Sink<K>) -> Result<(), ()> {
        let number = tag >> 3;
        if number == 0 || number > MAX_FIELD_NUMBER {
            return Err(());
        }
        let schema = self.innermost().ok_or(())?.schema;
        let kind = if self.groups == 0 { kind_of(schema, number) } else { None };
        match tag & 7 {
            0 => {
                let key = match kind {
                    Some(Kind::Number(key) | Kind::Numbers(key)) => Some(key),
                    _ => None,
                };
                self.state = State::Value(key, Varint::default());
                Ok(())
            }
            1 => self.delimited(None, 8, sink),
            2 => {
                self.state = State::Length(kind, Varint::default());
                Ok(())
            }
            5 => self.delimited(None, 4, sink),
            // proto3 has no groups, but Go's protobuf skips those that it is sent.
            wire_type @ (3 | 4) => {
                let groups = self.groups;
                let open =
                    if wire_type == 3 { groups.checked_add(1) } else { groups.checked_sub(1) };
                self.groups = open.ok_or(())?;
                self.next_field(sink);
                Ok(())
            }
            _ => Err(()),
        }
    }

    /// Begins the content of a field, `length` bytes long.
    fn delimited(
        &mut self,
        kind: Option<Kind<K>>,
        length: u64,
        sink: &mut impl Sink<K>,
    ) -> Result<(), ()> {
        let open = self.innermost().ok_or(())?;
        open.left = open.left.checked_sub(length).ok_or(())?;
        self.state = match kind {
            None | Some(Kind::Number(_)) => State::Skip(length),
            Some(Kind::Length(key)) => {
                sink.number(key, length);
                State::Skip(length)
            }
            Some(Kind::Numbers(key)) => State::Numbers(key, length, Varint::default()),
            Some(Kind::PackedVarints(key)) => State::PackedVarints(key, length),
            Some(Kind::Text(key)) => {
                if length == 0 {
                    sink.text(key, &[], true);
                }
                State::Text(key, length, true)
            }
            Some(Kind::Message(key, schema)) => match self.open.get_mut(self.depth) {
                Some(place) => {
                    *place = Some(Open { schema, left: length, key: Some(key) });
                    self.depth += 1;
                    sink.begin(key);
                    self.next_field(sink);
                    return Ok(());
                }
                None => State::Skip(length),
            },
        };
        if length == 0 {
            self.next_field(sink);
        }
        Ok(())
    }

    /// Goes on after a field: closes the messages that are over, then reads the next tag.
    fn next_field(&mut self, sink: &mut impl Sink<K>) {
        self.state = State::Tag(Varint::default());
        while let Some(open) = self.innermost().copied() {
            if open.left > 0 {
                return;
            }
            if self.groups > 0 {
                self.state = State::Stopped(Progress::Malformed);
                return;
            }
            self.depth -= 1;
            if let Some(key) = open.key {
                sink.end(key);
            }
        }
        self.state = State::Stopped(Progress::Complete);
    }

    fn innermost(&mut self) -> Option<&mut Open<K>> {
        self.open.get_mut(self.depth.checked_sub(1)?)?.as_mut()
    }
}

fn split(bytes: &[u8], length: u64) -> (&[u8], &[u8]) {
    bytes.split_at(usize::try_from(length).map_or(bytes.len(), |length| length.min(bytes.len())))
}

#[cfg(test)]
mod tests;
