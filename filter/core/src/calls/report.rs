//! What was counted of all calls, as JSON for the control plane (src/kiteway/envoy/calls.py).

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Instant;

use crate::calls::pool::PoolCalls;
use crate::calls::table::{split, ByRpc, Places};
use crate::calls::tally::{Cached, Tally};
use crate::calls::times::BOUNDS;
use crate::wire::write_json::{list, numbers, text};

/// Writes everything that was counted since the process began, of the pools that there are, as members of an object:
///
/// `"bounds": [microseconds], "pools": [{"name": "", "collections": [{"database": "", "collection": "", "rpc": "",
/// "other": false, TALLY}], "users": [{"user": "", "other": false, TALLY}], "endpoints": [{"endpoint": "", TALLY}]}]`
///
/// where TALLY is `"calls": 0, "errors": {"CODE": 0}, "rows": 0, "request_bytes": 0, "response_bytes": 0,
/// "time": microseconds, "times": [calls in each bucket]`, and, where there are any, `"cache": {"hit": 0, "joined": 0,
/// "miss": 0, "bypass": 0}`, `"refused": 0`, and `"waited": 0, "wait": microseconds`. A call is counted once in each of
/// the three lists, but for calls whose endpoint is not known. `other` has the calls that have no place of their own.
pub fn write(json: &mut String) {
    json.push_str("\"bounds\":");
    numbers(json, &BOUNDS);
    json.push_str(",\"pools\":");
    let now = Instant::now();
    list(json, PoolCalls::all(), |json, pool| {
        pool.retire(now);
        Merged::of(&pool).write(json, pool.name());
    });
}

/// What all workers have counted of a pool.
#[derive(Default)]
struct Merged {
    /// By name and rpc.
    collections: BTreeMap<(Vec<u8>, &'static str), Tally>,
    without_collection: BTreeMap<&'static str, Tally>,
    other_collections: BTreeMap<&'static str, Tally>,
    users: BTreeMap<Vec<u8>, Tally>,
    other_users: Tally,
    endpoints: BTreeMap<Vec<u8>, Tally>,
}

impl Merged {
    fn of(pool: &PoolCalls) -> Self {
        let mut merged = Self::default();
        pool.each(|table| {
            for (name, by_rpc) in table.collections.iter() {
                for (rpc, tally) in by_rpc {
                    merged.collections.entry((name.to_vec(), *rpc)).or_default().add(tally);
                }
            }
            add_by_rpc(&mut merged.without_collection, &table.without_collection);
            add_by_rpc(&mut merged.other_collections, &table.other_collections);
            add_by_name(&mut merged.users, &table.users);
            add_by_name(&mut merged.endpoints, &table.endpoints);
            merged.other_users.add(&table.other_users);
        });
        merged
    }

    fn write(&self, json: &mut String, pool: &str) {
        json.push_str("{\"name\":");
        text(json, pool.as_bytes());
        json.push_str(",\"collections\":");
        let named = self.collections.iter().map(|((name, rpc), tally)| {
            let (database, collection) = split(name);
            (database, collection, *rpc, false, tally)
        });
        let none = &b""[..];
        let without =
            self.without_collection.iter().map(|(rpc, tally)| (none, none, *rpc, false, tally));
        let other =
            self.other_collections.iter().map(|(rpc, tally)| (none, none, *rpc, true, tally));
        let all = named.chain(without).chain(other);
        list(json, all, |json, (database, collection, rpc, other, tally)| {
            json.push_str("{\"database\":");
            text(json, database);
            json.push_str(",\"collection\":");
            text(json, collection);
            let _ = write!(json, ",\"rpc\":\"{rpc}\",\"other\":{other},");
            write_tally(json, tally);
        });
        json.push_str(",\"users\":");
        let named = self.users.iter().map(|(user, tally)| (&user[..], false, tally));
        let counted = self.other_users.calls > 0 || self.other_users.refused > 0;
        let other = counted.then_some((none, true, &self.other_users));
        list(json, named.chain(other), |json, (user, other, tally)| {
            json.push_str("{\"user\":");
            text(json, user);
            let _ = write!(json, ",\"other\":{other},");
            write_tally(json, tally);
        });
        json.push_str(",\"endpoints\":");
        list(json, &self.endpoints, |json, (endpoint, tally)| {
            json.push_str("{\"endpoint\":");
            text(json, endpoint);
            json.push(',');
            write_tally(json, tally);
        });
        json.push('}');
    }
}

fn add_by_rpc(sums: &mut BTreeMap<&'static str, Tally>, by_rpc: &ByRpc) {
    for (rpc, tally) in by_rpc {
        sums.entry(rpc).or_default().add(tally);
    }
}

fn add_by_name(sums: &mut BTreeMap<Vec<u8>, Tally>, places: &Places<Tally>) {
    for (name, tally) in places.iter() {
        sums.entry(name.to_vec()).or_default().add(tally);
    }
}

/// Writes the rest of an object.
fn write_tally(json: &mut String, tally: &Tally) {
    let _ = write!(json, "\"calls\":{},\"errors\":{{", tally.calls);
    for (place, (code, count)) in tally.errors().enumerate() {
        let comma = if place > 0 { "," } else { "" };
        let _ = write!(json, "{comma}\"{code}\":{count}");
    }
    let size = tally.size;
    let _ = write!(
        json,
        "}},\"rows\":{},\"request_bytes\":{},\"response_bytes\":{},\"time\":{},\"times\":",
        size.rows,
        size.request_bytes,
        size.response_bytes,
        tally.times.sum(),
    );
    numbers(json, tally.times.counts());
    if tally.cached.iter().any(|count| *count > 0) {
        json.push_str(",\"cache\":{");
        for (place, (label, count)) in Cached::LABELS.iter().zip(tally.cached).enumerate() {
            let comma = if place > 0 { "," } else { "" };
            let _ = write!(json, "{comma}\"{label}\":{count}");
        }
        json.push('}');
    }
    if tally.refused > 0 {
        let _ = write!(json, ",\"refused\":{}", tally.refused);
    }
    if tally.waited > 0 {
        let _ = write!(json, ",\"waited\":{},\"wait\":{}", tally.waited, tally.wait);
    }
    json.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::table::{Shows, Subject};
    use crate::calls::tally::{Event, Outcome, Size};
    use crate::wire::json::{parse_object, Object, Value};

    fn pool_of_report(name: &str) -> Object {
        let mut json = "{".to_owned();
        write(&mut json);
        json.push('}');
        let mut report = parse_object(json.as_bytes()).unwrap();
        let Some(Value::List(pools)) = report.take("pools") else { panic!() };
        let objects = pools.into_iter().map(|pool| match pool {
            Value::Object(pool) => pool,
            other => panic!("{other}"),
        });
        objects
            .into_iter()
            .find(|pool| pool.clone().take_text("name") == Ok(Some(name.to_owned())))
            .unwrap()
    }

    /// The entries of a list, each as its keys and numbers.
    fn entries(pool: &Object, list: &str, keys: &[&str]) -> Vec<String> {
        let Some(Value::List(entries)) = pool.clone().take(list) else { panic!() };
        let text = |entry| {
            let Value::Object(mut entry) = entry else { panic!() };
            let values = keys.iter().map(|key| entry.take(key).unwrap().to_string());
            values.collect::<Vec<_>>().join(" ")
        };
        entries.into_iter().map(text).collect()
    }

    #[test]
    fn the_report_has_each_call_by_collection_by_user_and_by_endpoint() {
        let pool = PoolCalls::named("test/report");
        let size = Size { rows: 10, request_bytes: 100, response_bytes: 200 };
        let call = Subject {
            rpc: "Search",
            database: b"d",
            collection: b"bo\"\n\xffoks",
            user: b"root",
            endpoint: b"10.0.0.1:1",
            shows: Shows::Existence,
        };
        let failed = Subject { shows: Shows::Nothing, user: b"eve", collection: b"none", ..call };
        let connect = Subject { rpc: "Connect", database: b"", collection: b"", ..call };
        for (each, outcome) in
            [(call, Outcome::Success), (failed, Outcome::Milvus(100)), (connect, Outcome::Success)]
        {
            pool.record(&each, &[Event::Ended { outcome, size, micros: 700 }], Instant::now());
        }
        let on_its_way = [Event::Waited(9), Event::Refused, Event::Cached(Cached::Hit)];
        pool.record(&Subject { endpoint: b"", ..call }, &on_its_way, Instant::now());

        let found = pool_of_report("test/report");

        let collections = entries(
            &found,
            "collections",
            &["database", "collection", "rpc", "other", "calls", "rows"],
        );
        assert_eq!(
            ["\"\" \"\" \"Connect\" false 1 10", "\"\" \"\" \"Search\" true 1 10",],
            collections[1..]
        );
        assert!(collections[0].ends_with("\"Search\" false 1 10"), "{collections:?}");
        assert!(collections[0].contains("bo\\\"\\n\u{fffd}oks"), "{collections:?}");
        assert_eq!(
            ["\"root\" false 2 1400", "\"\" true 1 700"],
            entries(&found, "users", &["user", "other", "calls", "time"])[..]
        );
        let Some(Value::List(users)) = found.clone().take("users") else { panic!() };
        let Some(Value::Object(mut root)) = users.into_iter().next() else { panic!() };
        let Some(Value::Object(mut cache)) = root.take("cache") else { panic!() };
        assert_eq!(Ok(Some(1)), cache.take_count("hit", 0, 9));
        for (key, count) in [("refused", 1), ("waited", 1), ("wait", 9)] {
            assert_eq!(Ok(Some(count)), root.take_count(key, 0, 9), "{key}");
        }
        assert_eq!(
            ["\"10.0.0.1:1\" 3 300 600"],
            entries(&found, "endpoints", &["endpoint", "calls", "request_bytes", "response_bytes"])
                [..]
        );
    }

    #[test]
    fn what_two_workers_count_is_one_series() {
        let pool = PoolCalls::named("test/merged");
        let record = || {
            let call = Subject {
                rpc: "Query",
                database: b"d",
                collection: b"c",
                user: b"",
                endpoint: b"",
                shows: Shows::Existence,
            };
            let (outcome, size) = (Outcome::Success, Size::default());
            pool.record(&call, &[Event::Ended { outcome, size, micros: 0 }], Instant::now());
        };
        std::thread::scope(|scope| {
            scope.spawn(record);
            scope.spawn(record);
        });

        let found = pool_of_report("test/merged");

        assert_eq!(["2"], entries(&found, "collections", &["calls"])[..]);
        assert_eq!(["\"\" 2"], entries(&found, "users", &["user", "calls"])[..]);
    }
    #[test]
    fn refusals_of_a_user_whom_milvus_has_not_answered_are_those_of_other_users() {
        let pool = PoolCalls::named("test/refused");
        let call = Subject {
            rpc: "Query",
            database: b"d",
            collection: b"c",
            user: b"new",
            endpoint: b"",
            shows: Shows::Existence,
        };
        pool.record(&call, &[Event::Refused], Instant::now());

        let found = pool_of_report("test/refused");

        let users = entries(&found, "users", &["user", "other", "calls", "refused"]);
        assert_eq!(["\"\" true 0 1"], users[..]);
    }
}
