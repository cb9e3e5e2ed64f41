//! The tallies of one pool that one worker counts: bounded, whatever clients send.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::calls::known::{Gone, Known};
use crate::calls::tally::{Event, Outcome, Tally};

/// Of one pool, by one worker: collections, and pairs of a collection and an rpc.
const MAX_COLLECTIONS: usize = 256;
const MAX_SERIES: usize = 1_024;
const MAX_USERS: usize = 256;
const MAX_ENDPOINTS: usize = 256;
/// So long a place was not used whose name may go to make room, or whose name Milvus does not know any more.
const IDLE: Duration = Duration::from_secs(600);
/// So long a place was not used that is dropped in any case: what it is about may be gone without a call that shows it.
const FORGOTTEN: Duration = Duration::from_secs(24 * 3600);
/// The longest name: a database and a collection of 255 bytes each, and what is between them.
const MAX_KEY: usize = 511;
const HINTS: usize = 16;

/// What a call is counted by.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    pub rpc: &'static str,
    /// Empty: the call names none.
    pub database: &'a [u8],
    /// Empty: the call names none.
    pub collection: &'a [u8],
    /// Empty: the call has no user, or users are not told apart.
    pub user: &'a [u8],
    /// Empty: it is not known.
    pub endpoint: &'a [u8],
    /// What the call's end shows of the database and the collection.
    pub shows: Shows,
}

/// What a call shows of what it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shows {
    Nothing,
    /// It exists.
    Existence,
    /// It does not exist, or no longer.
    Absence,
}

/// What Milvus has vouched for to any worker.
#[derive(Debug, Default)]
pub struct Vouched {
    collections: Known,
    users: Known,
    gone: Gone,
}

/// The tallies of a collection, by rpc.
pub type ByRpc = Vec<(&'static str, Tally)>;

/// What one worker has counted of one pool.
#[derive(Debug)]
pub struct Table {
    pub collections: Places<ByRpc>,
    pub users: Places<Tally>,
    pub endpoints: Places<Tally>,
    /// Calls that name neither database nor collection.
    pub without_collection: ByRpc,
    /// Calls whose collection Milvus has not vouched for, or for which there is no place.
    pub other_collections: ByRpc,
    pub other_users: Tally,
    series: usize,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            collections: Places::new(MAX_COLLECTIONS),
            users: Places::new(MAX_USERS),
            endpoints: Places::new(MAX_ENDPOINTS),
            without_collection: ByRpc::new(),
            other_collections: ByRpc::new(),
            other_users: Tally::default(),
            series: 0,
        }
    }
}

impl Table {
    pub fn record(&mut self, call: &Subject, events: &[Event], vouched: &Vouched, now: Instant) {
        let record = |tally: &mut Tally| events.iter().for_each(|event| tally.record(*event));
        let outcome = events.iter().find_map(|event| match event {
            Event::Ended { outcome, .. } => Some(*outcome),
            Event::Cached(_) | Event::Passed(_) | Event::Waited(_) | Event::Refused => None,
        });
        record(of_rpc(self.by_rpc(call, outcome, vouched, now), call.rpc));

        // Only Milvus knows whether the credentials are those of the user: a name is not believed until a call has succeeded.
        let believed = outcome == Some(Outcome::Success);
        match self.users.of_vouched(call.user, believed, &vouched.users, now) {
            Some(place) => record(self.users.get(place)),
            None => record(&mut self.other_users),
        }
        if !call.endpoint.is_empty() {
            if let Some(place) = self.endpoints.find(call.endpoint, || true, now) {
                record(self.endpoints.get(place));
            }
        }
    }

    /// Drops the counts of these names.
    pub fn drop_names(&mut self, over: &LastUses) {
        self.collections.drop_names(&over.collections);
        self.users.drop_names(&over.users);
        self.endpoints.drop_names(&over.endpoints);
    }

    /// Where a call is counted that has ended with this outcome; None: it has not ended.
    fn by_rpc(
        &mut self,
        call: &Subject,
        outcome: Option<Outcome>,
        vouched: &Vouched,
        now: Instant,
    ) -> &mut ByRpc {
        if call.database.is_empty() && call.collection.is_empty() {
            return &mut self.without_collection;
        }
        let mut key = [0; MAX_KEY];
        let Some(key) = join(&mut key, call.database, call.collection) else {
            return &mut self.other_collections;
        };
        let (known, exists) = (&vouched.collections, call.shows == Shows::Existence);
        let Some(place) = self.collections.of_vouched(key, exists, known, now) else {
            return &mut self.other_collections;
        };
        match call.shows {
            Shows::Nothing => {}
            Shows::Existence => vouched.gone.remove(key),
            Shows::Absence => vouched.gone.add(key),
        }
        let known = self.collections.get(place).iter().any(|(rpc, _)| *rpc == call.rpc);
        if !known {
            if outcome.is_none_or(Outcome::is_refusal) {
                return &mut self.other_collections;
            }
            if self.series >= MAX_SERIES {
                self.series = self.collections.iter().map(|(_, by_rpc)| by_rpc.len()).sum();
            }
            if self.series >= MAX_SERIES {
                return &mut self.other_collections;
            }
            self.series += 1;
        }
        self.collections.get(place)
    }
}

/// When each name was used last, by any worker.
#[derive(Debug, Default)]
pub struct LastUses {
    collections: HashMap<Box<[u8]>, Instant>,
    users: HashMap<Box<[u8]>, Instant>,
    endpoints: HashMap<Box<[u8]>, Instant>,
}

impl LastUses {
    pub fn add(&mut self, table: &Table) {
        table.collections.add_uses(&mut self.collections);
        table.users.add_uses(&mut self.users);
        table.endpoints.add_uses(&mut self.endpoints);
    }

    /// Drops all names but those whose counts are to go: of collections that Milvus says are gone, and of names that were not used
    /// for long.
    /// Only the last use by any worker counts: a counter of which a part is missing would be lower than before.
    pub fn retain_over(&mut self, vouched: &Vouched, now: Instant) {
        let idle = |used: &Instant, time| now.saturating_duration_since(*used) >= time;
        let is_gone = |name: &[u8], used: &Instant| idle(used, IDLE) && vouched.gone.has(name);
        self.collections.retain(|name, used| idle(used, FORGOTTEN) || is_gone(name, used));
        self.users.retain(|_, used| idle(used, FORGOTTEN));
        self.endpoints.retain(|_, used| idle(used, FORGOTTEN));
        for name in self.collections.keys() {
            vouched.collections.remove(name);
            vouched.gone.remove(name);
        }
        for name in self.users.keys() {
            vouched.users.remove(name);
        }
    }
}

/// The tally of an rpc. There are no more than the catalogue has.
fn of_rpc<'a>(by_rpc: &'a mut ByRpc, rpc: &'static str) -> &'a mut Tally {
    let place = by_rpc.iter().position(|(known, _)| *known == rpc).unwrap_or_else(|| {
        by_rpc.push((rpc, Tally::default()));
        by_rpc.len() - 1
    });
    &mut by_rpc[place].1
}

/// The name under which a collection is found; None: it is longer than Milvus allows.
fn join<'a>(room: &'a mut [u8; MAX_KEY], database: &[u8], collection: &[u8]) -> Option<&'a [u8]> {
    let length = database.len() + 1 + collection.len();
    let key = room.get_mut(..length)?;
    key[..database.len()].copy_from_slice(database);
    key[database.len()] = 0;
    key[database.len() + 1..].copy_from_slice(collection);
    Some(key)
}

/// Takes a name apart again.
pub fn split(key: &[u8]) -> (&[u8], &[u8]) {
    let end = key.iter().position(|byte| *byte == 0).unwrap_or(key.len());
    (&key[..end], key.get(end + 1..).unwrap_or_default())
}

/// Values by name, a limited number of them.
#[derive(Debug)]
pub struct Places<V> {
    limit: usize,
    by_name: HashMap<Box<[u8]>, usize>,
    places: Vec<Place<V>>,
    /// Places that were found of late, by a part of the name: most names are in one, and need not be hashed.
    hints: [usize; HINTS],
    /// There was no idle place at this time.
    looked: Option<Instant>,
}

fn hint_of(name: &[u8]) -> usize {
    let byte = |place: Option<&u8>| usize::from(place.copied().unwrap_or_default());
    (name.len() + byte(name.first()) + 3 * byte(name.last())) % HINTS
}

#[derive(Debug)]
struct Place<V> {
    name: Box<[u8]>,
    value: V,
    used: Instant,
}

impl<V: Default> Places<V> {
    fn new(limit: usize) -> Self {
        Self { limit, by_name: HashMap::new(), places: Vec::new(), hints: [0; HINTS], looked: None }
    }

    /// The place of a `name` that this call vouches for, or another one has.
    fn of_vouched(
        &mut self,
        name: &[u8],
        vouches: bool,
        known: &Known,
        now: Instant,
    ) -> Option<usize> {
        let may = || {
            if vouches {
                known.add(name);
            }
            vouches || known.has(name)
        };
        self.find(name, may, now)
    }

    /// The place of `name`. A new name gets one if it `may` and if there is room, or a place that has been idle for long.
    fn find(&mut self, name: &[u8], may: impl FnOnce() -> bool, now: Instant) -> Option<usize> {
        let hint = hint_of(name);
        if let Some(place) = self.places.get_mut(self.hints[hint]) {
            if *place.name == *name {
                place.used = now;
                return Some(self.hints[hint]);
            }
        }
        if let Some(place) = self.by_name.get(name).copied() {
            self.places[place].used = now;
            self.hints[hint] = place;
            return Some(place);
        }
        if !may() {
            return None;
        }
        let new = Place { name: name.into(), value: V::default(), used: now };
        let place = if self.places.len() < self.limit {
            self.places.push(new);
            self.places.len() - 1
        } else {
            let place = self.idle(now)?;
            let old = std::mem::replace(&mut self.places[place], new);
            self.by_name.remove(&old.name);
            place
        };
        self.by_name.insert(name.into(), place);
        Some(place)
    }

    /// The place that has been idle for the longest time, if it was idle for long enough. Looks at all places, so not too often.
    fn idle(&mut self, now: Instant) -> Option<usize> {
        let since = |then: Instant| now.saturating_duration_since(then);
        if self.looked.is_some_and(|looked| since(looked) < IDLE / 10) {
            return None;
        }
        let (place, oldest) = self.places.iter().enumerate().min_by_key(|(_, place)| place.used)?;
        if since(oldest.used) < IDLE {
            self.looked = Some(now);
            return None;
        }
        Some(place)
    }

    fn add_uses(&self, uses: &mut HashMap<Box<[u8]>, Instant>) {
        for place in &self.places {
            let last = uses.entry(place.name.clone()).or_insert(place.used);
            *last = place.used.max(*last);
        }
    }

    fn drop_names(&mut self, names: &HashMap<Box<[u8]>, Instant>) {
        let before = self.places.len();
        self.places.retain(|place| !names.contains_key(&place.name));
        if self.places.len() < before {
            let places = self.places.iter().enumerate();
            self.by_name = places.map(|(number, place)| (place.name.clone(), number)).collect();
            self.hints = [0; HINTS];
        }
    }

    fn get(&mut self, place: usize) -> &mut V {
        &mut self.places[place].value
    }

    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &V)> {
        self.places.iter().map(|place| (&*place.name, &place.value))
    }
}

#[cfg(test)]
mod tests;
