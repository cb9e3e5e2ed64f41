//! The pools of this process by name, for all of Envoy's threads and all versions of its configuration.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::alarm::{self, Alarmed};
use crate::cache::planted;
use crate::cache::pool::state::Pool;
use crate::cache::pool::store::Store;

static POOLS: Mutex<BTreeMap<String, Arc<Pool>>> = Mutex::new(BTreeMap::new());

/// The pool of a name. It exists for ever, because a structural change that it has seen must not be forgotten; but it
/// stores nothing while no configuration refers to it.
pub fn pool(name: &str) -> Arc<Pool> {
    let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
    for (_, unused) in pools.iter().filter(|(_, pool)| Arc::strong_count(pool) == 1) {
        unused.clear();
    }
    if let Some(pool) = pools.get(name) {
        return Arc::clone(pool);
    }
    let pool = Arc::new(Pool::with(store()));
    let alarmed: Arc<dyn Alarmed> = Arc::clone(&pool) as _;
    alarm::watch(Arc::downgrade(&alarmed));
    pools.insert(name.to_owned(), Arc::clone(&pool));
    pool
}

/// All pools that a configuration refers to.
pub fn all() -> Vec<(String, Arc<Pool>)> {
    let pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
    let used = pools.iter().filter(|(_, pool)| Arc::strong_count(pool) > 1);
    used.map(|(name, pool)| (name.clone(), Arc::clone(pool))).collect()
}

fn store() -> Arc<Store> {
    static SHARED: Mutex<Option<Arc<Store>>> = Mutex::new(None);
    if !planted::pool_not_in_key() {
        return Arc::default();
    }
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(shared.get_or_insert_with(Arc::default))
}
