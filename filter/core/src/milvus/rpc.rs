//! What the filter knows of an rpc.

use crate::milvus::answer::AnswerKey;
use crate::milvus::question::{self, QuestionKey};
use crate::wire::stream::Schema;

/// What an rpc does, as the catalogue classifies it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    AdminCluster,
    AdminRbac,
    AdminRead,
    Ddl,
    Health,
    Load,
    Maint,
    MetaRead,
    Read,
    ReadCpu,
    Replication,
    Session,
    Telemetry,
    Write,
    WriteBulk,
}

/// Where a response carries Milvus's own status, a `common.Status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MilvusStatusLocation {
    /// The response message is itself a `common.Status`.
    Message,
    /// In the field with this number.
    Field(u32),
    /// There is none, or the call streams.
    Nowhere,
}

/// The calls that succeed only for what exists, the most frequent ones first. Success of many others shows nothing: Milvus
/// drops what does not exist, and says "no" to `HasCollection`.
const PROVING: [&str; 11] = [
    "Search",
    "Query",
    "Insert",
    "HybridSearch",
    "Upsert",
    "Delete",
    "DescribeCollection",
    "LoadCollection",
    "CreateCollection",
    "ShowCollections",
    "CreateDatabase",
];

/// Of these calls, the ones that need no collection: one that they name may not exist.
const WITHOUT_COLLECTION: [&str; 2] = ["ShowCollections", "CreateDatabase"];

/// Whether success of the rpc shows that the database and the `collection` that it names exist; `collection` may be empty.
pub fn proves_existence(rpc: &str, collection: &[u8]) -> bool {
    PROVING.contains(&rpc) && (collection.is_empty() || !WITHOUT_COLLECTION.contains(&rpc))
}

/// Milvus's code (merr) for a collection that does not exist.
pub const COLLECTION_NOT_FOUND: u64 = 100;

/// Whether the collection that a call names, or the database if it names none, does not exist once the rpc has succeeded.
pub fn ends_existence(rpc: &str) -> bool {
    matches!(rpc, "DropCollection" | "RenameCollection" | "DropDatabase")
}

/// One rpc of Milvus.
#[derive(Debug, PartialEq, Eq)]
pub struct Rpc {
    /// `/package.Service/Method`.
    path: &'static str,
    /// The method's name, which no two services share.
    pub name: &'static str,
    pub class: Class,
    /// Whether it may be sent again when an endpoint has seen it; the routes go by the same catalogue.
    pub repeatable: bool,
    /// Whether it changes what reads are answered from, beside rows.
    pub is_structural: bool,
    pub milvus_status: MilvusStatusLocation,
    /// What is read of its request.
    pub question: Schema<QuestionKey>,
    /// What is read of its response.
    pub answer: Schema<AnswerKey>,
}

impl Rpc {
    #[expect(clippy::too_many_arguments, reason = "the table is generated")]
    pub const fn new(
        path: &'static str,
        name: &'static str,
        class: Class,
        repeatable: bool,
        is_structural: bool,
        milvus_status: MilvusStatusLocation,
        question: Schema<QuestionKey>,
        answer: Schema<AnswerKey>,
    ) -> Self {
        Self { path, name, class, repeatable, is_structural, milvus_status, question, answer }
    }

    /// What is read of its request if only names are wanted.
    pub fn names(&self) -> Schema<QuestionKey> {
        if matches!(self.class, Class::Read | Class::Write) {
            question::NAMES
        } else {
            self.question
        }
    }

    /// What the table is sorted by.
    pub fn key(&self) -> (usize, &'static [u8]) {
        (self.path.len(), self.path.as_bytes())
    }
}
