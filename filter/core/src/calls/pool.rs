//! The calls of a pool, counted by all workers, and all pools that there are.

use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Instant;

use crate::calls::table::{LastUses, Subject, Table, Vouched};
use crate::calls::tally::Event;

/// Workers beyond these share a table with another one.
const SHARDS: usize = 32;

/// Every pool of the process. A pool outlives changes of its configuration, since Envoy makes the new filter before it
/// destroys the old one.
static POOLS: Mutex<Vec<Weak<PoolCalls>>> = Mutex::new(Vec::new());

static WORKERS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static SHARD: Cell<usize> = Cell::new(WORKERS.fetch_add(1, Ordering::Relaxed) % SHARDS);
}

/// What is counted of the calls of a pool.
pub struct PoolCalls {
    name: String,
    vouched: Vouched,
    /// One for each worker, made with its first call: only a report waits for the lock of another worker.
    shards: [OnceLock<Box<Mutex<Table>>>; SHARDS],
}

impl PoolCalls {
    /// The pool of this name.
    pub fn named(name: &str) -> Arc<Self> {
        let mut pools = locked(&POOLS);
        pools.retain(|pool| pool.strong_count() > 0);
        if let Some(pool) = pools.iter().filter_map(Weak::upgrade).find(|pool| pool.name == name) {
            return pool;
        }
        let shards = std::array::from_fn(|_| OnceLock::new());
        let pool = Arc::new(Self { name: name.to_owned(), vouched: Vouched::default(), shards });
        pools.push(Arc::downgrade(&pool));
        pool
    }

    /// Every pool, by name.
    pub fn all() -> Vec<Arc<Self>> {
        let mut pools: Vec<_> = locked(&POOLS).iter().filter_map(Weak::upgrade).collect();
        pools.sort_by(|one, other| one.name.cmp(&other.name));
        pools
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Counts what happened to a call.
    pub fn record(&self, call: &Subject, events: &[Event], now: Instant) {
        let shard = SHARD.with(Cell::get);
        let table = self.shards[shard].get_or_init(Box::default);
        locked(table).record(call, events, &self.vouched, now);
    }

    /// Drops the counts of what is gone.
    pub fn retire(&self, now: Instant) {
        let mut over = LastUses::default();
        self.each(|table| over.add(table));
        over.retain_over(&self.vouched, now);
        for shard in self.shards.iter().filter_map(OnceLock::get) {
            locked(shard).drop_names(&over);
        }
    }

    /// Looks at what each worker has counted.
    pub fn each(&self, mut look: impl FnMut(&Table)) {
        for shard in self.shards.iter().filter_map(OnceLock::get) {
            look(&locked(shard));
        }
    }
}

/// There is one for each name.
impl PartialEq for PoolCalls {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl fmt::Debug for PoolCalls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("PoolCalls").field(&self.name).finish()
    }
}

/// Locks although a panic may have interrupted a count: then one call is missing, which does not matter.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::calls::table::Shows;
    use crate::calls::tally::{Outcome, Size};

    fn record(pool: &PoolCalls) {
        let call = Subject {
            rpc: "Search",
            database: b"d",
            collection: b"c",
            user: b"",
            endpoint: b"",
            shows: Shows::Existence,
        };
        let (outcome, size) = (Outcome::Success, Size::default());
        pool.record(&call, &[Event::Ended { outcome, size, micros: 0 }], Instant::now());
    }

    fn calls(pool: &PoolCalls) -> u64 {
        let mut calls = 0;
        pool.each(|table| {
            calls += table.collections.iter().map(|(_, by_rpc)| by_rpc[0].1.calls).sum::<u64>();
        });
        calls
    }

    #[test]
    fn a_pool_keeps_its_counts_over_a_change_of_its_configuration() {
        let old = PoolCalls::named("test/change");
        record(&old);
        let new = PoolCalls::named("test/change");
        drop(old);
        record(&new);

        assert_eq!(2, calls(&new));
        drop(new);
        assert_eq!(0, calls(&PoolCalls::named("test/change")));
    }

    #[test]
    fn workers_count_apart_and_no_call_is_lost() {
        let pool = PoolCalls::named("test/workers");
        std::thread::scope(|scope| {
            for _ in 0..2 * SHARDS {
                scope.spawn(|| (0..100).for_each(|_| record(&pool)));
            }
        });

        assert_eq!(200 * SHARDS as u64, calls(&pool));
    }

    #[test]
    fn what_is_gone_is_dropped_when_no_worker_uses_it() {
        let pool = PoolCalls::named("test/retire");
        let start = Instant::now();
        let count = |shows, seconds| {
            let call = Subject {
                rpc: "Search",
                database: b"d",
                collection: b"c",
                user: b"u",
                endpoint: b"e",
                shows,
            };
            let (outcome, size) = (Outcome::Success, Size::default());
            let at = start + Duration::from_secs(seconds);
            pool.record(&call, &[Event::Ended { outcome, size, micros: 0 }], at);
        };
        let retired = |seconds| {
            pool.retire(start + Duration::from_secs(seconds));
            calls(&pool) == 0
        };
        count(Shows::Existence, 0);
        assert!(!retired(3600));
        count(Shows::Absence, 3600);
        std::thread::scope(|scope| {
            scope.spawn(|| count(Shows::Nothing, 4000));
        });

        assert!(!retired(4500), "another worker has used it");
        assert!(retired(4600));
        count(Shows::Nothing, 5000);
        assert_eq!(0, calls(&pool), "no call has vouched for it since");
        count(Shows::Existence, 5000);
        count(Shows::Absence, 5000);
        count(Shows::Existence, 5001);
        assert!(!retired(9000), "it exists again");
        assert!(retired(5001 + 24 * 3600));
        pool.each(|table| {
            assert_eq!(0, table.users.iter().count() + table.endpoints.iter().count())
        });
    }

    #[test]
    fn pools_are_listed_while_they_are_in_use() {
        let listed = || PoolCalls::all().iter().any(|pool| pool.name() == "test/listed");
        let pool = PoolCalls::named("test/listed");
        assert!(listed());

        drop(pool);

        assert!(!listed());
    }
}
