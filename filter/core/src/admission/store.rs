//! What has been counted, by name: all of Envoy's threads and all versions of its configuration share it.
//!
//! Nothing is stored that no configuration refers to. Envoy makes the new configuration before it destroys the old one,
//! so a change keeps the counts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;

use crate::admission::known::Known;
use crate::admission::limits::Counts;
use crate::admission::pool::Pool;
use crate::alarm::{self, Alarmed};

type Shared<T> = Mutex<BTreeMap<String, Weak<T>>>;

/// The value of a name; `make` makes it if there is none.
fn shared<T>(all: &Shared<T>, name: &str, make: impl FnOnce() -> T) -> Arc<T> {
    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(value) = all.get(name).and_then(Weak::upgrade) {
        return value;
    }
    all.retain(|_, value| value.strong_count() > 0);
    let value = Arc::new(make());
    all.insert(name.to_owned(), Arc::downgrade(&value));
    value
}

/// What a limit has counted.
pub fn counts(name: &str) -> Arc<Counts> {
    static COUNTS: Shared<Counts> = Mutex::new(BTreeMap::new());
    shared(&COUNTS, name, Counts::default)
}

/// Who is known where.
pub fn known(name: &str) -> Arc<Known> {
    static KNOWN: Shared<Known> = Mutex::new(BTreeMap::new());
    shared(&KNOWN, name, Known::default)
}

/// The calls of a pool.
pub fn pool(name: &str) -> Arc<Pool> {
    static POOLS: Shared<Pool> = Mutex::new(BTreeMap::new());
    let mut is_new = false;
    let pool = shared(&POOLS, name, || {
        is_new = true;
        Pool::new(Instant::now())
    });
    if is_new {
        let alarmed: Arc<dyn Alarmed> = Arc::clone(&pool) as _;
        alarm::watch(Arc::downgrade(&alarmed));
    }
    pool
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_value_while_it_is_in_use() {
        static ALL: Shared<u32> = Mutex::new(BTreeMap::new());
        let first = shared(&ALL, "a", || 1);
        assert_eq!(1, *shared(&ALL, "a", || 2));
        assert_eq!(3, *shared(&ALL, "b", || 3));
        drop(first);
        assert_eq!(4, *shared(&ALL, "a", || 4));
        assert!(ALL.lock().unwrap().len() <= 2);
    }
}
