//! What all streams of a listener share.

use crate::calls::{Event, Shows, Subject};
use crate::host::clock::Clock;
use crate::host::request::{AccessLog, Request, Routed};
use crate::listener::asked::{Api, Asked};
use crate::listener::route::RouteConfig;
use crate::metrics::gate::GateMetrics;
use crate::milvus::caller::{User, Users};
use crate::noting::{Notes, Noting, TRACEPARENT};
use crate::reading::note_user;

#[derive(Clone, Debug)]
pub struct Settings {
    pub metrics: GateMetrics,
    /// How users are named.
    pub users: Users,
    /// Of which calls the access log and spans get what the messages say.
    pub notes: Notes,
}

impl Settings {
    /// Writes the user and the question of a call that no endpoint gets to the log, and Milvus's code in the answer.
    pub fn note_refused(&self, asked: &Asked, code: u32, stream: &mut (impl Request + AccessLog)) {
        let noting = self.noting(stream.request_header(TRACEPARENT));
        if noting != Noting::No && asked.api == Api::Grpc {
            if self.notes.traced {
                stream.note_text("rpc", asked.call.label());
            }
            note_user(&self.user(asked.api, stream), stream);
            asked.note(stream);
            stream.note_number("code", u64::from(code));
        }
    }

    /// Whether a call is noted that has this `traceparent`. It is unknown whether one without is traced: only the filter of
    /// the endpoint sees the header that Envoy adds.
    pub fn noting(&self, traceparent: Option<&[u8]>) -> Noting {
        Noting::new(self.notes, traceparent, false)
    }

    /// Counts what happens to a call on its way to an endpoint.
    pub fn count(
        &self,
        asked: &Asked,
        event: Event,
        stream: &(impl Request + Clock + Routed<RouteConfig>),
    ) {
        let calls = stream.route_config().and_then(|route| route.calls.as_ref());
        let Some(calls) = calls else { return };
        let ((database, collection), user) = (asked.names(), self.user(asked.api, stream));
        let subject = Subject {
            rpc: asked.call.label(),
            database,
            collection,
            user: user.as_bytes(),
            endpoint: b"",
            shows: Shows::Nothing,
        };
        calls.record(&subject, &[event], stream.now());
    }

    /// Who makes a call, in the form that logs and counts show.
    fn user(&self, api: Api, request: &impl Request) -> User {
        let authorization = request.request_header("authorization");
        match api {
            Api::Grpc => self.users.of_grpc(authorization),
            Api::Rest => self.users.of_rest(authorization),
        }
    }
}

#[cfg(test)]
impl Settings {
    /// Names of users as they are, and notes for the log.
    pub fn of_test() -> Self {
        use crate::host::fake::Names;
        use crate::milvus::caller::{HashKey, Naming};

        Self {
            metrics: GateMetrics::define(&mut Names::default()).unwrap(),
            users: Users { naming: Naming::Names, key: HashKey::new([0; HashKey::LENGTH]) },
            notes: Notes { all: true, traced: false },
        }
    }
}
