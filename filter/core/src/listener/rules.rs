//! A route's policy, with what has been counted for it.

use std::sync::Arc;

use crate::admission::key::Key;
use crate::admission::known::Known;
use crate::admission::limits::{Counts, Most, Rate};
use crate::admission::pool::{self, Pool, Terms};
use crate::admission::store;
use crate::listener::policy::{Applies, By, Limit, Policy, Reads};

/// What the calls of a route are checked against.
#[derive(Clone, Debug)]
pub struct Rules {
    policy: Policy,
    /// The users and collections for which Milvus has answered well.
    pub known: Arc<Known>,
    pub limits: Vec<Rule>,
    /// Whether a limit depends on what the message of a call says.
    pub needs_message: bool,
    pub admission: Option<Admitting>,
}

/// One limit.
#[derive(Clone, Debug)]
pub struct Rule {
    pub by: By,
    pub most: Most,
    pub counts: Arc<Counts>,
    applies: Applies,
}

/// The queue of a pool.
#[derive(Clone, Debug)]
pub struct Admitting {
    pub pool: Arc<Pool>,
    pub terms: Terms,
    /// The pool's name in metrics.
    pub name: String,
}

impl PartialEq for Rules {
    fn eq(&self, other: &Self) -> bool {
        self.policy == other.policy
    }
}

impl Rules {
    /// Finds what has been counted under the policy's names.
    pub fn new(policy: Policy) -> Self {
        let needs_message = policy.limits.iter().any(|limit| {
            limit.by.database || limit.by.collection || limit.rows_per_second.is_some()
        });
        let limits = policy.limits.iter().enumerate();
        let limits = limits.map(|(place, limit)| Rule::new(&policy.scope, place, limit)).collect();
        let admission = policy.admission.as_ref().map(|admission| Admitting {
            pool: store::pool(&admission.scope),
            terms: Terms {
                reads: match admission.reads {
                    Reads::Unlimited => pool::Most::Unlimited,
                    Reads::Fixed(reads) => pool::Most::Fixed(reads),
                    Reads::Adaptive => pool::Most::Adaptive,
                },
                writes: admission.writes.map_or(pool::Most::Unlimited, pool::Most::Fixed),
                wait: admission.wait,
                queued_bytes: admission.queued_bytes,
            },
            name: admission.scope.clone(),
        });
        let scope = admission.as_ref().map_or(&policy.scope, |admission| &admission.name);
        Self { known: store::known(scope), limits, needs_message, admission, policy }
    }
}

impl Rule {
    fn new(scope: &str, place: usize, limit: &Limit) -> Self {
        let rate = |per_second: Option<f64>| per_second.map(|each| Rate::new(each, limit.burst));
        let rates =
            [limit.requests_per_second, limit.rows_per_second, limit.bytes_per_second].map(rate);
        Self {
            by: limit.by,
            most: Most { rates, in_flight: limit.in_flight },
            // Where limits are added or removed, those behind them begin anew.
            counts: store::counts(&format!("{scope}\n{place}\n{:?}", limit.by)),
            applies: limit.applies.clone(),
        }
    }

    /// Whether the limit holds for a call, of which `name` is what the limit is by, where that is one thing.
    pub fn applies(&self, name: &[u8]) -> bool {
        let named = |names: &[String]| names.iter().any(|each| each.as_bytes() == name);
        match &self.applies {
            Applies::ToAll => true,
            Applies::To(names) => named(names),
            Applies::ToAllBut(names) => !named(names),
        }
    }

    /// What the call is counted by; `is_known` is whether the user is known. Every client may name a database or a collection, so
    /// in a limit by these the users that are not known are counted separately.
    pub fn key(&self, user: Key, is_known: bool, database: &[u8], collection: &[u8]) -> Key {
        // A collection is one of its database.
        let database = (self.by.database || self.by.collection).then_some(database);
        let user = match (self.by.user, is_known) {
            (true, _) => Some(user),
            (false, true) => None,
            (false, false) => Some(Key::of("stranger")),
        };
        Key::of((user, database, self.by.collection.then_some(collection)))
    }
}
