//! The part of a route's configuration that says for how long answers to its reads are stored.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::wire::json::{Object, Value};

/// `common.gracefulTime` of Milvus: what a Bounded read may miss.
const MAX_BOUND: u64 = 5000;
const MAX_EVENTUAL_BOUND: u64 = 3_600_000;
const MAX_WAIT: u64 = 600_000;
const MAX_HEDGE: u64 = 3_600_000;
const MAX_COUNT: u64 = (1 << 53) - 1;
const MAX_COLLECTIONS: usize = 64;

/// The cache of a route's pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheConfig {
    /// The pool's name. Routes with the same name share one cache.
    pub pool: String,
    /// The cluster that serves gRPC; None: this route's calls are REST.
    pub cluster: Option<String>,
    pub bounds: Bounds,
    /// How old the timestamp is that a fill asks for, at least.
    pub fill_lag: Duration,
    /// The longest time that a read waits for the answer to another one.
    pub max_wait: Duration,
    /// The most bytes of all answers.
    pub memory: u64,
    /// The longest answer that is stored, in bytes.
    pub max_entry_bytes: usize,
    /// Another number than before says that the endpoints were replaced wholly.
    pub epoch: u64,
    /// Whether the route's reads are answered from the cache; otherwise it only sees changes.
    pub reads: bool,
    /// After this time Envoy hedges a read of the route in any case; None: it does not.
    pub hedge_after: Option<Duration>,
    pub collections: Vec<CollectionConfig>,
}

/// How old an answer may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub bound: Duration,
    /// For reads at the level Eventually.
    pub eventual_bound: Duration,
}

/// What differs for one collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectionConfig {
    pub database: String,
    pub collection: String,
    pub enabled: bool,
    pub bounds: Bounds,
}

impl CacheConfig {
    /// Reads the object of the key `cache`.
    pub fn of(mut object: Object) -> Result<Self, String> {
        let memory = required(object.take_count("memory", 1, MAX_COUNT)?, "memory")?;
        let max_entry_bytes = object.take_count("max_entry_bytes", 1, memory)?;
        let config = Self {
            pool: required(object.take_text("pool")?.filter(|text| !text.is_empty()), "pool")?,
            cluster: object.take_text("cluster")?,
            bounds: Bounds::of(&mut object)?,
            fill_lag: milliseconds(&mut object, "fill_lag_ms", MAX_BOUND - 1)?,
            max_wait: milliseconds(&mut object, "max_wait_ms", MAX_WAIT)?,
            memory,
            max_entry_bytes: required(max_entry_bytes, "max_entry_bytes")? as usize,
            epoch: required(object.take_count("epoch", 0, MAX_COUNT)?, "epoch")?,
            reads: object.take_flag("reads")?,
            hedge_after: object.take_count("hedge_ms", 1, MAX_HEDGE)?.map(Duration::from_millis),
            collections: collections(object.take("collections"))?,
        };
        object.finish()?;
        if config.cluster.as_deref().map_or(config.reads, str::is_empty) {
            return Err("reads needs a cluster, and a cluster a name".to_owned());
        }
        let mut bounds = config.collections.iter().map(|each| each.bounds).chain([config.bounds]);
        if bounds.any(|each| each.bound <= config.fill_lag) {
            return Err("fill_lag_ms must be less than every bound_ms".to_owned());
        }
        Ok(config)
    }

    /// What holds for a collection; None: its answers are not kept.
    pub fn bounds(&self, database: &str, collection: &str) -> Option<Bounds> {
        let named = self
            .collections
            .iter()
            .find(|each| each.database == database && each.collection == collection);
        named.map_or(Some(self.bounds), |each| each.enabled.then_some(each.bounds))
    }
}

impl Bounds {
    fn of(object: &mut Object) -> Result<Self, String> {
        Ok(Self {
            bound: milliseconds(object, "bound_ms", MAX_BOUND)?,
            eventual_bound: milliseconds(object, "eventual_bound_ms", MAX_EVENTUAL_BOUND)?,
        })
    }
}

impl CollectionConfig {
    fn of(value: Value) -> Result<Self, String> {
        let Value::Object(mut object) = value else {
            return Err(format!("collections has {value}, must have objects"));
        };
        let name = |object: &mut Object, key| {
            required(object.take_text(key)?.filter(|text| !text.is_empty()), key)
        };
        let config = Self {
            database: name(&mut object, "database")?,
            collection: name(&mut object, "collection")?,
            enabled: match object.take("enabled") {
                None => true,
                Some(Value::Bool(enabled)) => enabled,
                Some(other) => return Err(format!("enabled is {other}, must be true or false")),
            },
            bounds: Bounds::of(&mut object)?,
        };
        object.finish()?;
        Ok(config)
    }
}

fn collections(value: Option<Value>) -> Result<Vec<CollectionConfig>, String> {
    let values = match value {
        None => return Ok(Vec::new()),
        Some(Value::List(values)) if values.len() <= MAX_COLLECTIONS => values,
        Some(Value::List(values)) => {
            return Err(format!(
                "collections has {} entries, the most are {MAX_COLLECTIONS}",
                values.len()
            ));
        }
        Some(other) => return Err(format!("collections is {other}, must be a list")),
    };
    let all: Vec<_> = values.into_iter().map(CollectionConfig::of).collect::<Result<_, _>>()?;
    let mut names = BTreeSet::new();
    for each in &all {
        if !names.insert((&each.database, &each.collection)) {
            return Err(format!("collections has {}/{} twice", each.database, each.collection));
        }
    }
    Ok(all)
}

fn milliseconds(object: &mut Object, key: &str, most: u64) -> Result<Duration, String> {
    Ok(Duration::from_millis(required(object.take_count(key, 1, most)?, key)?))
}

fn required<T>(value: Option<T>, key: &str) -> Result<T, String> {
    value.ok_or_else(|| format!("the key {key:?} is missing"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::cases::{check, refused};
    use crate::wire::json::parse_object;

    fn parse(json: &[u8]) -> Result<CacheConfig, String> {
        parse_object(json).and_then(CacheConfig::of)
    }

    #[test]
    fn what_the_control_plane_accepts_is_accepted_and_nothing_else() {
        check("cache", parse, |meaning| CacheConfig::of(std::mem::take(meaning)).unwrap());
    }

    #[test]
    fn a_configuration_is_what_its_text_says() {
        let config = parse(
            br#"{"pool": "default/milvus/19530", "cluster": "c", "bound_ms": 5000, "eventual_bound_ms": 60000,
            "fill_lag_ms": 1000, "max_wait_ms": 3000, "memory": 4096, "max_entry_bytes": 1024, "epoch": 7, "reads": true, "hedge_ms": 50,
            "collections": [{"database": "d", "collection": "a", "enabled": false, "bound_ms": 5000,
            "eventual_bound_ms": 5000}, {"database": "d", "collection": "b", "bound_ms": 2000,
            "eventual_bound_ms": 3000}]}"#,
        )
        .unwrap();

        let seconds = |bound, eventual_bound| {
            let [bound, eventual_bound] = [bound, eventual_bound].map(Duration::from_secs);
            Some(Bounds { bound, eventual_bound })
        };
        assert_eq!(None, config.bounds("d", "a"));
        assert_eq!(seconds(2, 3), config.bounds("d", "b"));
        assert_eq!(seconds(5, 60), config.bounds("e", "b"));
        assert_eq!(("default/milvus/19530", Some("c")), (&*config.pool, config.cluster.as_deref()));
        let [lag, wait] = [1, 3].map(Duration::from_secs);
        assert_eq!((lag, wait, 4096), (config.fill_lag, config.max_wait, config.memory));
        assert_eq!((1024, 7, true), (config.max_entry_bytes, config.epoch, config.reads));
        assert_eq!(Some(Duration::from_millis(50)), config.hedge_after);
    }

    #[test]
    fn an_error_names_what_is_wrong() {
        let errors = refused("cache", parse);

        for expected in [
            "fill_lag_ms must be less than every bound_ms",
            "reads needs a cluster, and a cluster a name",
            "the key \"pool\" is missing",
        ] {
            assert!(errors.iter().any(|error| error == expected), "{errors:?}");
        }
    }
}
