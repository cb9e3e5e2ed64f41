//! The filter's metrics, as Envoy's own stats.

#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::filter::Stream;
use crate::rpc::{Call, Class};

/// Calls of clients, by rpc: `<namespace>.requests_total.rpc.<rpc>` in Envoy's stats.
const REQUESTS: &str = "requests_total";

/// Attempts whose endpoint answered "not ready", by rpc.
pub const NOT_READY: &str = "not_ready_total";

/// The label of both; the values are those of `Call::label`, so there are never more of them than calls
/// in the catalogue, plus two.
pub const RPC_LABEL: &str = "rpc";

/// A counter Envoy knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CounterId(pub usize);

/// What can make counters: Envoy, while it reads the filter's configuration and never later.
pub trait Registry {
    /// Defines a counter, or says why that cannot be done.
    fn define_counter(&mut self, name: &str) -> Result<CounterId, String>;

    /// Defines a counter with one label, for what is rare.
    fn define_labelled_counter(&mut self, name: &str, label: &str) -> Result<CounterId, String>;
}

/// The counters of clients' calls.
///
/// What is called often has a counter of its own: to look up a labelled one costs a call as much as all
/// the rest of the filter. The rest shares a labelled one, since they are defined anew for every host with
/// a certificate: 155 took a third of the time in which Envoy made its listener. Envoy and the bootstrap's
/// `stats_tags` give both kinds the same name and label.
#[derive(Clone, Debug)]
pub struct Requests {
    /// By the call's slot.
    often: Arc<[Option<CounterId>]>,
    seldom: CounterId,
}

impl Requests {
    /// Defines the counters, or says why that cannot be done.
    pub fn define(registry: &mut impl Registry) -> Result<Self, String> {
        let often = Call::all().map(|call| {
            let name = format!("{REQUESTS}.{RPC_LABEL}.{}", call.label());
            is_frequent(call).then(|| registry.define_counter(&name)).transpose()
        });
        let often = often.collect::<Result<_, _>>()?;
        Ok(Self { often, seldom: registry.define_labelled_counter(REQUESTS, RPC_LABEL)? })
    }

    /// Counts one.
    pub fn count(&self, call: Call, stream: &mut impl Stream) {
        match self.often[call.slot()] {
            Some(counter) => stream.count(counter),
            None => stream.count_label(self.seldom, call.label()),
        }
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
        let requests = Requests::define(&mut names).unwrap();
        let mut stream = grpc_request(method);
        requests.count(Call::of_request(&stream), &mut stream);
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
    fn a_host_defines_few_counters() {
        let mut names = Names::default();

        Requests::define(&mut names).unwrap();

        assert!(names.0.len() < 20, "{:?}", names.0);
    }
}
