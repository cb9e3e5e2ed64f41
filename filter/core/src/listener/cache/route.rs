//! A route's part in the cache of its pool.

use std::sync::Arc;
use std::time::Duration;

use crate::cache::pool::registry;
use crate::cache::pool::{Pool, PoolTerms, Terms};
use crate::listener::cache::config::CacheConfig;

/// What the calls of a route need of the cache.
#[derive(Clone, Debug)]
pub struct CacheRoute {
    pub config: CacheConfig,
    pub pool: Arc<Pool>,
    /// The longest time for which an answer serves.
    pub window: Duration,
}

impl PartialEq for CacheRoute {
    fn eq(&self, other: &Self) -> bool {
        self.config == other.config
    }
}

impl CacheRoute {
    /// Finds the cache of the pool, and tells it what the configuration says of it.
    pub fn new(config: CacheConfig) -> Self {
        let pool = registry::pool(&config.pool);
        let bounds = || config.collections.iter().map(|each| each.bounds).chain([config.bounds]);
        let bound = bounds().map(|each| each.bound).max().unwrap_or_default();
        let eventual_bound = bounds().map(|each| each.eventual_bound).max().unwrap_or_default();
        let window = bound.max(eventual_bound);
        let terms = PoolTerms { bound, memory: config.memory };
        pool.configure(terms, config.epoch);
        Self { config, pool, window }
    }

    /// What holds for reads of a collection; None: their answers are not kept.
    pub fn terms(&self, database: &str, collection: &str) -> Option<Terms> {
        let bounds = self.config.bounds(database, collection)?;
        Some(Terms {
            bound: bounds.bound,
            eventual_bound: bounds.eventual_bound,
            fill_lag: self.config.fill_lag,
            max_wait: self.config.max_wait,
        })
    }
}
