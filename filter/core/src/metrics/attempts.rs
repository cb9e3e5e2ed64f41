//! What is counted of the attempts at the endpoints of a pool.

use crate::host::counters::{CounterId, Counters, HistogramId, Registry};
use crate::milvus::call::Call;
use crate::milvus::rpc::Class;

/// Attempts, by rpc: `cluster.<cluster>.<namespace>.requests_total.rpc.<rpc>` in Envoy's stats.
const REQUESTS: &str = "requests_total";
/// Attempts to which Milvus answered that the endpoint is not ready, by rpc.
const NOT_READY: &str = "not_ready_total";
/// Responses, by status: `cluster.<cluster>.<namespace>.responses_total.status.<status>`.
const RESPONSES: &str = "responses_total";
const STATUS_LABEL: &str = "status";
/// Milliseconds of attempts that were answered, from the request's headers to the end of the response.
const TIME: &str = "request_time";
/// Its values are those of `Call::label`: never more than calls in the catalogue, plus two.
const RPC_LABEL: &str = "rpc";

/// The metrics of one pool.
///
/// A frequent call has its own counter: to look up a label costs a call as much as all the rest of the filter. The
/// other calls share a labelled counter, since every pool defines its counters anew.
#[derive(Clone, Debug)]
pub struct AttemptMetrics {
    /// By the call's slot; None: the call is counted by its label.
    frequent: Box<[Option<CounterId>]>,
    rare: CounterId,
    not_ready: CounterId,
    success: (&'static str, CounterId),
    other_status: CounterId,
    time: HistogramId,
}

impl AttemptMetrics {
    /// Defines the metrics of a pool, or says why that is impossible. `served` says whether the pool gets a call at all;
    /// `success` is the label of the status that most of its calls end with.
    pub fn define(
        registry: &mut impl Registry,
        served: impl Fn(Call) -> bool,
        success: &'static str,
    ) -> Result<Self, String> {
        let frequent = Call::all().map(|call| {
            let name = format!("{REQUESTS}.{RPC_LABEL}.{}", call.label());
            let wanted = served(call) && is_frequent(call);
            wanted.then(|| registry.define_counter(&name)).transpose()
        });
        Ok(Self {
            frequent: frequent.collect::<Result<_, _>>()?,
            rare: registry.define_labelled_counter(REQUESTS, RPC_LABEL)?,
            not_ready: registry.define_labelled_counter(NOT_READY, RPC_LABEL)?,
            success: (
                success,
                registry.define_counter(&format!("{RESPONSES}.{STATUS_LABEL}.{success}"))?,
            ),
            other_status: registry.define_labelled_counter(RESPONSES, STATUS_LABEL)?,
            time: registry.define_histogram(TIME)?,
        })
    }

    /// Counts an attempt.
    pub fn began(&self, call: Call, stream: &mut impl Counters) {
        match self.frequent[call.slot()] {
            Some(counter) => stream.count(counter),
            None => stream.count_label(self.rare, call.label()),
        }
    }

    /// Counts a response in which Milvus says that the endpoint is not ready.
    pub fn not_ready(&self, call: Call, stream: &mut impl Counters) {
        stream.count_label(self.not_ready, call.label());
    }

    /// Counts a response by its transport status, and records how long the attempt took.
    pub fn ended(&self, transport_status: &str, milliseconds: u64, stream: &mut impl Counters) {
        let (success, counter) = self.success;
        if transport_status == success {
            stream.count(counter);
        } else {
            stream.count_label(self.other_status, transport_status);
        }
        stream.record(self.time, milliseconds);
    }
}

/// Whether clients make the call often: data, health checks, connections, and every call that is not in the catalogue.
fn is_frequent(call: Call) -> bool {
    match call {
        Call::Milvus(rpc) => {
            matches!(rpc.class, Class::Read | Class::Write | Class::Session)
                || rpc.class == Class::Health && rpc.repeatable
        }
        Call::OtherGrpc | Call::Rest => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::{FakeStream, Names};

    fn counted(method: &str) -> Vec<(String, String)> {
        let mut names = Names::default();
        let attempts = AttemptMetrics::define(&mut names, |_| true, "OK").unwrap();
        let path = format!("/milvus.proto.milvus.MilvusService/{method}");
        let mut stream = FakeStream::default();
        attempts.began(Call::of_grpc(Some(path.as_bytes())), &mut stream);
        let counted = stream.counted.into_iter();
        counted.map(|(counter, label)| (names.0[counter.0].clone(), label)).collect()
    }

    #[test]
    fn a_frequent_call_has_a_counter_of_its_own() {
        for method in ["Search", "Insert", "GetVersion", "Connect"] {
            let name = format!("requests_total.rpc.{method}");

            assert_eq!(vec![(name, String::new())], counted(method));
        }
        assert_eq!("requests_total.rpc.other", counted("NoSuchCall")[0].0);
    }

    #[test]
    fn a_rare_call_is_counted_by_its_label() {
        let expected = ("requests_total[rpc]".to_owned(), "DropCollection".to_owned());

        assert_eq!(vec![expected], counted("DropCollection"));
    }

    #[test]
    fn a_pool_defines_few_metrics() {
        let mut names = Names::default();

        AttemptMetrics::define(&mut names, |_| true, "OK").unwrap();

        assert!(names.0.len() <= 22, "{:?}", names.0);
    }

    #[test]
    fn a_pool_defines_nothing_for_calls_it_never_gets() {
        let mut names = Names::default();

        AttemptMetrics::define(&mut names, |call| call == Call::Rest, "2xx").unwrap();

        let expected = [
            "requests_total.rpc.rest",
            "requests_total[rpc]",
            "not_ready_total[rpc]",
            "responses_total.status.2xx",
            "responses_total[status]",
            "request_time",
        ];
        assert_eq!(expected[..], names.0);
    }
}
