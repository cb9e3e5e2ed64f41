//! The filter's metrics, as Envoy's own stats in the scope of the cluster.

#![forbid(unsafe_code)]

use crate::filter::Stream;
use crate::rpc::{Call, Class};

/// Attempts, by rpc: `cluster.<cluster>.<namespace>.requests_total.rpc.<rpc>` in Envoy's stats.
const REQUESTS: &str = "requests_total";
/// Attempts whose endpoint answered "not ready", by rpc.
const NOT_READY: &str = "not_ready_total";
/// Answers, by status: `cluster.<cluster>.<namespace>.responses_total.status.<status>`.
const RESPONSES: &str = "responses_total";
const STATUS_LABEL: &str = "status";
/// Milliseconds of attempts that were answered, from the request's headers to the end of the response.
const TIME: &str = "request_time";
/// Its values are those of `Call::label`: never more than calls in the catalogue, plus two.
const RPC_LABEL: &str = "rpc";

/// A counter Envoy knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CounterId(pub usize);

/// A histogram Envoy knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistogramId(pub usize);

/// What can make metrics: Envoy, while it reads the filter's configuration and never later.
pub trait Registry {
    /// Defines a counter, or says why that cannot be done.
    fn define_counter(&mut self, name: &str) -> Result<CounterId, String>;
    /// Defines a counter with one label, for what is rare.
    fn define_labelled_counter(&mut self, name: &str, label: &str) -> Result<CounterId, String>;
    /// Defines a histogram, or says why that cannot be done.
    fn define_histogram(&mut self, name: &str) -> Result<HistogramId, String>;
}

/// What is counted of the attempts at the endpoints of one pool.
///
/// What is called often has a counter of its own: to look up a labelled one costs a call as much as all
/// the rest of the filter. The rest shares a labelled one, since every pool defines them anew.
#[derive(Clone, Debug)]
pub struct Attempts {
    /// By the call's slot; None is counted by its label.
    often: Box<[Option<CounterId>]>,
    seldom: CounterId,
    not_ready: CounterId,
    success: (&'static str, CounterId),
    other_status: CounterId,
    time: HistogramId,
}

impl Attempts {
    /// Defines the metrics of a pool whose calls are those that `served` tells, and mostly end with the status
    /// `success`; or says why that cannot be done.
    pub fn define(
        registry: &mut impl Registry,
        served: impl Fn(Call) -> bool,
        success: &'static str,
    ) -> Result<Self, String> {
        let often = Call::all().map(|call| {
            let name = format!("{REQUESTS}.{RPC_LABEL}.{}", call.label());
            let wanted = served(call) && is_frequent(call);
            wanted.then(|| registry.define_counter(&name)).transpose()
        });
        Ok(Self {
            often: often.collect::<Result<_, _>>()?,
            seldom: registry.define_labelled_counter(REQUESTS, RPC_LABEL)?,
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
    pub fn began(&self, call: Call, stream: &mut impl Stream) {
        match self.often[call.slot()] {
            Some(counter) => stream.count(counter),
            None => stream.count_label(self.seldom, call.label()),
        }
    }

    /// Counts an answer that says "not ready".
    pub fn not_ready(&self, call: Call, stream: &mut impl Stream) {
        stream.count_label(self.not_ready, call.label());
    }

    /// Counts an answer by its status, and records how long the attempt took.
    pub fn ended(&self, status: &str, milliseconds: u64, stream: &mut impl Stream) {
        let (success, counter) = self.success;
        if status == success {
            stream.count(counter);
        } else {
            stream.count_label(self.other_status, status);
        }
        stream.record(self.time, milliseconds);
    }
}

/// Whether a client makes the call again and again: its data, its health checks, its connections, and
/// whatever the catalogue does not know.
fn is_frequent(call: Call) -> bool {
    match call {
        Call::Milvus(rpc) => {
            matches!(rpc.class, Class::Read | Class::Write | Class::Health | Class::Session)
        }
        Call::OtherGrpc | Call::Rest => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{grpc_request, Names};

    fn counted(method: &str) -> Vec<(String, String)> {
        let mut names = Names::default();
        let attempts = Attempts::define(&mut names, |_| true, "OK").unwrap();
        let mut stream = grpc_request(method);
        attempts.began(Call::of_grpc(&stream), &mut stream);
        let counted = stream.counted.into_iter();
        counted.map(|(counter, label)| (names.0[counter.0].clone(), label)).collect()
    }

    #[test]
    fn what_is_called_often_needs_no_label() {
        for method in ["Search", "Insert", "GetVersion", "Connect"] {
            let name = format!("requests_total.rpc.{method}");

            assert_eq!(vec![(name, String::new())], counted(method));
        }
        assert_eq!("requests_total.rpc.other", counted("NoSuchCall")[0].0);
    }

    #[test]
    fn what_is_called_seldom_is_a_label() {
        let expected = ("requests_total[rpc]".to_owned(), "DropCollection".to_owned());

        assert_eq!(vec![expected], counted("DropCollection"));
    }

    #[test]
    fn a_pool_defines_few_metrics() {
        let mut names = Names::default();

        Attempts::define(&mut names, |_| true, "OK").unwrap();

        assert!(names.0.len() <= 22, "{:?}", names.0);
    }

    #[test]
    fn a_pool_defines_nothing_for_calls_it_never_gets() {
        let mut names = Names::default();

        Attempts::define(&mut names, |call| call == Call::Rest, "2xx").unwrap();

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
