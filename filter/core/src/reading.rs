//! What is read of the messages of a gRPC call: the names, the size of the question, and what the answer says. It is for
//! the counts and for the access log.

use crate::calls::Size;
use crate::host::body::{RequestBody, ResponseBody};
use crate::host::request::AccessLog;
use crate::milvus::answer::{Answer, AnswerKey};
use crate::milvus::caller::User;
use crate::milvus::question::{Level, Name, Question, QuestionKey};
use crate::milvus::rpc::{Class, Rpc};
use crate::wire::stream::{Progress, Reader};

/// merr's code for an error that has no code, as those of Milvus 2.2 and earlier are.
const UNEXPECTED: u64 = 65_535;
/// The database of a request that names none.
const DEFAULT_DATABASE: &[u8] = b"default";

/// Reads the messages of one call while they pass.
#[derive(Debug)]
pub struct Reading {
    rpc: &'static Rpc,
    reads_all: bool,
    /// The header `dbname`.
    header_database: Name,
    request: Reader<QuestionKey>,
    question: Question,
    response: Reader<AnswerKey>,
    answer: Answer,
}

impl Reading {
    /// Reads the names alone, or `all` that is known of the rpc. `database` is the header of that name.
    pub fn new(rpc: &'static Rpc, database: Option<&[u8]>, all: bool) -> Self {
        let mut header_database = Name::default();
        if !rpc.question.is_empty() {
            header_database.push(database.unwrap_or_default(), true);
        }
        Self {
            header_database,
            rpc,
            reads_all: all,
            request: Reader::new(if all { rpc.question } else { rpc.names() }),
            question: Question::default(),
            response: Reader::new(rpc.answer),
            answer: Answer::default(),
        }
    }

    /// Whether more than the names is read of the request.
    pub fn reads_all(&self) -> bool {
        self.reads_all
    }

    /// Reads a part of the request, and says whether the question is known now: the message is whole, or `end` says that no
    /// more comes.
    pub fn on_request_body(&mut self, stream: &impl RequestBody, end: bool) -> bool {
        if self.request.progress() != Progress::Reading {
            return false;
        }
        stream.read_request_body(|piece| self.request.push(piece, &mut self.question));
        if !end && self.request.progress() == Progress::Reading {
            return false;
        }
        self.resolve_database();
        true
    }

    /// Reads all that will be read of the request.
    pub fn read_request(&mut self, request: &[u8]) {
        self.request.push(request, &mut self.question);
        self.resolve_database();
    }

    /// Reads a whole answer.
    pub fn read_response(&mut self, response: &[u8]) {
        self.response.push(response, &mut self.answer);
    }

    /// Reads a part of the response.
    pub fn on_response_body(&mut self, stream: &impl ResponseBody) {
        if self.response.progress() == Progress::Reading {
            stream.read_response_body(|piece| self.response.push(piece, &mut self.answer));
        }
    }

    /// Notes what the request asks for, if all of it is read. The consistency that a `fill` asks for is not its client's.
    pub fn note_question(&self, fill: bool, log: &mut impl AccessLog) {
        if !self.reads_all {
            return;
        }
        note_name(log, "database", &self.question.database);
        note_size(&self.question, log);
        if !fill {
            note_consistency(self.rpc, &self.question, log);
        }
        let problem = match self.request.progress() {
            Progress::Compressed => "compressed",
            Progress::Malformed => "malformed",
            Progress::Reading | Progress::Complete => return,
        };
        log.note_text("unread", problem);
    }

    /// The database is the field, else the header, else the default, as Milvus's proxy resolves it.
    fn resolve_database(&mut self) {
        if self.rpc.question.is_empty() {
            return;
        }
        if self.question.database.bytes().is_empty() {
            self.question.database = std::mem::take(&mut self.header_database);
        }
        if self.question.database.bytes().is_empty() {
            self.question.database.push(DEFAULT_DATABASE, true);
        }
    }

    /// Notes what the answer says: Milvus's code, which replaces that of an earlier attempt, and the rows.
    pub fn note_answer(&self, log: &mut impl AccessLog) {
        let Some(code) = self.code() else { return };
        log.note_number("code", code);
        if code == 0 && matches!(self.rpc.class, Class::Read | Class::Write) {
            log.note_number("rows", self.answer.rows);
        }
    }

    /// Milvus's code; None while it is not known. 0 is success.
    pub fn code(&self) -> Option<u64> {
        match (self.answer.code, self.answer.error_code) {
            (0, 0) if self.rpc.answer.is_empty() => None,
            (0, 0) if self.response.progress() != Progress::Complete => None,
            (0, 0) => Some(0),
            (0, _) => Some(UNEXPECTED),
            (code, _) => Some(code),
        }
    }

    /// Notes the consistency that a read asks for.
    pub fn note_consistency(&self, log: &mut impl AccessLog) {
        note_consistency(self.rpc, &self.question, log);
    }

    pub fn rpc(&self) -> &'static Rpc {
        self.rpc
    }

    /// The database and the collection; empty for a request without names.
    pub fn names(&self) -> (&[u8], &[u8]) {
        (self.question.database.bytes(), self.question.collection.bytes())
    }

    /// The size of the call: of rows those that were found or written.
    pub fn size(&self) -> Size {
        Size {
            rows: self.answer.rows,
            request_bytes: self.request.bytes(),
            response_bytes: self.response.bytes(),
        }
    }
}

/// Writes the caller that the request names to the log.
pub fn note_user(user: &User, log: &mut impl AccessLog) {
    if *user != User::NOBODY {
        log.note_text("user", user.as_str());
    }
}

/// Writes what a request asks for to the log, without the database.
pub fn note_question(rpc: &Rpc, question: &Question, log: &mut impl AccessLog) {
    note_size(question, log);
    note_consistency(rpc, question, log);
}

fn note_size(question: &Question, log: &mut impl AccessLog) {
    note_name(log, "collection", &question.collection);
    note_name(log, "alias", &question.alias);
    note_name(log, "new_database", &question.new_database);
    note_name(log, "new_collection", &question.new_collection);
    for (key, value) in [
        ("collections", question.collections.saturating_sub(1)),
        ("partitions", question.partitions),
        ("output_fields", question.output_fields),
        ("nq", question.queries),
        ("limit", question.limit),
        ("searches", question.sub_searches),
        ("search_limit", question.sub_limit),
        ("rows", question.rows),
    ] {
        if value > 0 {
            let others = u64::from(key == "collections");
            log.note_number(key, value + others);
        }
    }
}

fn note_consistency(rpc: &Rpc, question: &Question, log: &mut impl AccessLog) {
    if rpc.class == Class::Read {
        log.note_text("level", level_name(question.level()));
        if question.guarantee > 2 {
            log.note_text("guarantee", &question.guarantee.to_string());
        }
        if question.is_iterator {
            log.note_text("page_of", "iterator");
        }
    }
}

fn note_name(log: &mut impl AccessLog, key: &str, name: &Name) {
    if name.bytes().is_empty() {
        return;
    }
    let text = String::from_utf8_lossy(name.bytes());
    if name.is_cut() {
        log.note_text(key, &format!("{text}..."));
    } else {
        log.note_text(key, &text);
    }
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::Default => "default",
        Level::Strong => "strong",
        Level::Session => "session",
        Level::Bounded => "bounded",
        Level::Eventually => "eventually",
        Level::Customized => "customized",
        Level::Other => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::{grpc_request, FakeStream};
    use crate::host::request::Request;
    use crate::milvus::call::Call;
    use crate::wire::encode::{delimited, framed, varint};

    /// The notes of a call.
    fn notes(method: &str, header: &str, request: &[u8], response: &[u8]) -> Vec<String> {
        let mut stream = grpc_request(method);
        stream.request.push(("dbname".to_owned(), header.to_owned()));
        let Call::Milvus(rpc) = Call::of_grpc(stream.request_header(":path")) else { panic!() };
        let mut reading = Reading::new(rpc, stream.request_header("dbname"), true);
        stream.received = request.to_vec();
        if reading.on_request_body(&stream, true) {
            reading.note_question(false, &mut stream);
        }
        stream.received = response.to_vec();
        reading.on_response_body(&stream);
        reading.note_answer(&mut stream);
        texts(&stream)
    }

    fn texts(stream: &FakeStream) -> Vec<String> {
        stream.notes.iter().map(|(key, value)| format!("{key}={value}")).collect()
    }

    #[test]
    fn a_search_is_noted_with_its_size_and_its_rows() {
        let request = [
            delimited(3, b"books"),
            delimited(9, &[delimited(1, b"topk"), delimited(2, b"10")].concat()),
            varint(12, 2),
            varint(14, 2),
        ];
        let response = delimited(2, &delimited(6, &[10, 3]));

        assert_eq!(
            [
                "database=default",
                "collection=books",
                "nq=2",
                "limit=10",
                "level=bounded",
                "code=0",
                "rows=13"
            ],
            notes("Search", "", &framed(&request.concat()), &framed(&response))[..]
        );
    }

    #[test]
    fn the_database_is_the_field_else_the_header_else_the_default() {
        let named = framed(&delimited(2, b"field"));
        for (header, request, expected) in [
            ("header", &named, "database=field"),
            ("header", &framed(&[]), "database=header"),
            ("", &framed(&[]), "database=default"),
        ] {
            assert_eq!(expected, notes("DropCollection", header, request, &[])[0]);
        }
        assert!(notes("Connect", "header", &framed(&[]), &[]).is_empty());
    }

    #[test]
    fn an_error_of_milvus_is_noted_by_its_code_and_without_rows() {
        let answer = |status: Vec<u8>| framed(&delimited(1, &status));
        for (status, expected) in [
            ([varint(1, 1), varint(3, 100)].concat(), &["database=default", "code=100"][..]),
            (varint(1, 4), &["database=default", "code=65535"]),
            (Vec::new(), &["database=default", "code=0", "rows=0"]),
        ] {
            assert_eq!(expected, notes("Insert", "", &framed(&[]), &answer(status)));
        }
    }

    #[test]
    fn the_code_of_a_later_attempt_replaces_that_of_an_earlier_one() {
        let mut stream = grpc_request("GetVersion");
        for code in [1, 0] {
            let Call::Milvus(rpc) = Call::of_grpc(stream.request_header(":path")) else { panic!() };
            let mut reading = Reading::new(rpc, stream.request_header("dbname"), true);
            stream.received = framed(&delimited(1, &varint(3, code)));
            reading.on_response_body(&stream);
            reading.note_answer(&mut stream);
        }

        assert_eq!(["code=0"], texts(&stream)[..]);
    }

    #[test]
    fn an_answer_that_is_cut_has_no_code() {
        let whole = framed(&delimited(1, &[]));

        assert_eq!(["database=default"], notes("Insert", "", &framed(&[]), &whole[..6])[..]);
    }

    #[test]
    fn what_cannot_be_read_is_noted_as_such() {
        assert!(
            notes("Search", "", &[1, 0, 0, 0, 1, 0], &[]).contains(&"unread=compressed".to_owned())
        );
        assert!(notes("Search", "", &framed(&[0x0b]), &[]).contains(&"unread=malformed".to_owned()));
    }

    #[test]
    fn names_are_text_and_bounded() {
        let name = [&b"caf\xe9"[..], &[b'x'; 300]].concat();

        let notes = notes("DropCollection", "", &framed(&delimited(3, &name)), &[]);

        let (_, noted) = notes[1].split_once('=').unwrap();
        assert!(noted.starts_with("caf\u{fffd}xxx") && noted.ends_with("x..."), "{noted}");
        assert_eq!(255 + 3, noted.chars().count());
    }

    #[test]
    fn several_collections_are_counted_and_the_first_is_named() {
        let request = framed(&[delimited(3, b"a"), delimited(3, b"b")].concat());

        let notes = notes("Flush", "", &request, &[]);

        assert_eq!(["database=default", "collection=a", "collections=2"], notes[..]);
    }

    #[test]
    fn a_request_in_parts_is_known_once() {
        let mut stream = grpc_request("DropCollection");
        let Call::Milvus(rpc) = Call::of_grpc(stream.request_header(":path")) else { panic!() };
        let mut reading = Reading::new(rpc, stream.request_header("dbname"), true);
        let request = framed(&delimited(3, b"books"));
        for (place, byte) in request.iter().enumerate() {
            stream.received = vec![*byte];
            assert_eq!(place + 1 == request.len(), reading.on_request_body(&stream, false));
        }
        stream.received = Vec::new();
        assert!(!reading.on_request_body(&stream, true));
        reading.note_question(false, &mut stream);

        assert_eq!(["database=default", "collection=books"], texts(&stream)[..]);
    }
}
