//! Why a read is sent to Milvus unchanged and its answer is not stored.

/// Declares `Reason` with a label and a place for each variant.
macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $label:literal,)+) => {
        /// The reason, as `kiteway-cache: bypass; reason=…` and the counts name it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Reason {
            $($(#[$doc])* $name,)+
        }

        impl Reason {
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            pub fn label(self) -> &'static str {
                match self {
                    $(Self::$name => $label,)+
                }
            }
        }
    };
}

reasons! {
    /// The read is Strong.
    Strong = "strong",
    /// No timestamp of Milvus is old enough and young enough.
    NoSample = "no-sample",
    /// What DescribeCollection says of the collection is not known yet.
    LevelUnknown = "level-unknown",
    /// A structural change is in progress or has just ended.
    Closed = "closed",
    /// The guarantee is later than the newest timestamp known of Milvus, so Milvus would wait for it.
    GuaranteeAhead = "guarantee-ahead",
    /// Reads of this collection that ask for a newer answer have lately been slow.
    SlowFill = "slow-fill",
    /// Questions of this caller about this collection are seldom repeated, and this one was not asked lately.
    NewQuestion = "new-question",
    /// The policy turns the cache off for this collection.
    Disabled = "disabled",
    /// The answer is larger than the policy allows.
    TooLarge = "too-large",
    /// The answer is compressed.
    Compressed = "compressed",
    /// Milvus answers it with an error that does not depend on the call.
    Failed = "failed",
    /// The collection has a TTL.
    Ttl = "ttl",
    /// The collection is external.
    External = "external",
    /// The request is not one whole message that every implementation of protobuf reads alike.
    Unreadable = "unreadable",
    /// The level is not one of Milvus's five.
    UnknownLevel = "unknown-level",
    /// A page of an iterator.
    Iterator = "iterator",
    /// A search by the primary keys of rows, whose vectors Milvus reads first.
    Ids = "ids",
    /// `cluster_id` sends the read to another cluster.
    Cluster = "cluster",
    /// A filter takes a random sample.
    RandomSample = "random-sample",
    /// A reranker with random scores, with a model, or that is not known.
    Reranker = "reranker",
    /// Function chains may compute anything.
    FunctionChain = "function-chain",
    /// The answer is to have a trace of this very search.
    Trace = "trace",
    /// A travel timestamp.
    TimeTravel = "time-travel",
    /// A search in a hybrid search names another database or collection.
    OtherCollection = "other-collection",
    /// `sourceid`: one of Milvus's own components asks, whose privileges Milvus does not check.
    Internal = "internal",
    /// It waited for another call as long as it may.
    Waited = "waited",
    /// Too many bytes of requests wait for other calls, or too many bytes of answers are on their way.
    Parked = "parked",
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn labels_are_distinct_short_words() {
        let labels: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.label()).collect();

        assert_eq!(Reason::ALL.len(), labels.len());
        for label in labels {
            assert!(label.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{label}");
        }
    }
}
