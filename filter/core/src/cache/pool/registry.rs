//! The pools of this process by name, for all of Envoy's threads and all versions of its configuration.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::alarm::{self, Alarmed};
use crate::cache::planted;
use crate::cache::pool::state::Pool;
use crate::cache::pool::store::Store;

static POOLS: Mutex<BTreeMap<String, Weak<Pool>>> = Mutex::new(BTreeMap::new());

/// The pool of a name. It exists while a configuration refers to it, or a call that it has seen is in progress: Envoy makes
/// a new configuration before it destroys the old one, so a change of the configuration keeps what is stored. A pool that is
/// turned on again begins with nothing, because it has seen no structural change meanwhile.
pub fn pool(name: &str) -> Arc<Pool> {
    let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(pool) = pools.get(name).and_then(Weak::upgrade) {
        return pool;
    }
    pools.retain(|_, pool| pool.strong_count() > 0);
    let pool = Arc::new(Pool::with(store()));
    let alarmed: Arc<dyn Alarmed> = Arc::clone(&pool) as _;
    alarm::watch(Arc::downgrade(&alarmed));
    pools.insert(name.to_owned(), Arc::downgrade(&pool));
    pool
}

/// All pools that there are.
pub fn all() -> Vec<(String, Arc<Pool>)> {
    let pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
    pools.iter().filter_map(|(name, pool)| Some((name.clone(), pool.upgrade()?))).collect()
}

fn store() -> Arc<Store> {
    static SHARED: Mutex<Option<Arc<Store>>> = Mutex::new(None);
    if !planted::pool_not_in_key() {
        return Arc::default();
    }
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(shared.get_or_insert_with(Arc::default))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_is_one_while_it_is_in_use_and_then_gone() {
        let first = pool("test/registry");
        assert!(Arc::ptr_eq(&first, &pool("test/registry")));
        assert!(all().iter().any(|(name, _)| name == "test/registry"));

        drop(first);

        assert!(all().iter().all(|(name, _)| name != "test/registry"));
    }
}
