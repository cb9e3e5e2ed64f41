//! The histories of testdata/cache_histories.json: what the model of tests/cache decided, the pools decide too.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::*;
use crate::cache::pool::entries::{EntryKey, Found};
use crate::wire::json::{parse_object, Object, Value};

const HISTORIES: &str = include_str!("../../../../../testdata/cache_histories.json");
const TABLE: &str = include_str!("../../pool.rs");

fn cases() -> Vec<(String, Vec<Object>)> {
    let mut object = parse_object(HISTORIES.as_bytes()).unwrap();
    let objects = |value: Option<Value>| {
        let Some(Value::List(values)) = value else { panic!() };
        let object = |value| match value {
            Value::Object(object) => object,
            other => panic!("{other}"),
        };
        values.into_iter().map(object).collect::<Vec<Object>>()
    };
    let case = |mut case: Object| {
        let name = case.take_text("name").unwrap().unwrap();
        (name, objects(case.take("steps")))
    };
    objects(object.take("replicas")).into_iter().map(case).collect()
}

/// One replica of the model.
struct Replica {
    name: String,
    pools: Vec<Bench>,
    samples: HashMap<u64, SampleTicket>,
    levels: HashMap<u64, LevelTicket>,
    changes: HashMap<u64, Change>,
    fills: HashMap<u64, Fill>,
    /// The reads that wait for each flight.
    seats: HashMap<u64, Vec<Seat>>,
    /// Milvus's pool of each flight.
    pool_of: HashMap<u64, usize>,
    epochs: [u64; 2],
    seen: BTreeMap<String, usize>,
}

impl Replica {
    fn new(name: String) -> Self {
        let pools: Vec<Bench> = (0..2).map(|_| bench()).collect();
        for bench in &pools {
            // The model does not know these; the tests of `refusing` do.
            let mut control = bench.pool.control();
            control.ahead = Duration::MAX;
            control.paces.tolerance = Duration::from_secs(1_000_000);
        }
        Self {
            name,
            pools,
            samples: HashMap::new(),
            levels: HashMap::new(),
            changes: HashMap::new(),
            fills: HashMap::new(),
            seats: HashMap::new(),
            pool_of: HashMap::new(),
            epochs: [0; 2],
            seen: BTreeMap::new(),
        }
    }

    fn step(&mut self, mut step: Object) {
        let number = |step: &mut Object, key| step.take_count(key, 0, 1 << 53).unwrap();
        let what = step.take_text("do").unwrap().unwrap();
        let now = number(&mut step, "now").map(at);
        let call = number(&mut step, "call");
        let place = number(&mut step, "pool").unwrap_or(0) as usize;
        let pool = &self.pools[place].pool;
        match &*what {
            "ask" => self.ask(step, place, now.unwrap()),
            "answer" => {
                let flight = number(&mut step, "flight").unwrap();
                let is_good = step.take_flag("good").unwrap();
                assert_eq!(is_good, step.take_flag("followed").unwrap());
                self.answer(flight, is_good, now.unwrap());
            }
            "sample" => {
                self.samples.insert(call.unwrap(), self.pools[place].sample(now.unwrap()));
            }
            "sampled" => {
                let ticket = self.samples.remove(&call.unwrap()).unwrap();
                ticket.answered(number(&mut step, "timestamp").unwrap(), now.unwrap());
            }
            "learn" => {
                let key = digest(number(&mut step, "collection").unwrap());
                let ticket = self.pools[place].level(&key, now.unwrap());
                assert_eq!(step.take_flag("open").unwrap(), ticket.is_some(), "{}", self.name);
                if let Some(ticket) = ticket {
                    self.levels.insert(call.unwrap(), ticket);
                }
            }
            "learned" => {
                let level = level(&step.take_text("level").unwrap().unwrap());
                let ticket = self.levels.remove(&call.unwrap()).unwrap();
                // The moment matters only to how promptly Milvus answers.
                ticket.learned(Facts { level, ..FACTS }, at(0));
            }
            "change" => {
                let (now, call) = (now.unwrap(), call.unwrap());
                // A stranger is no longer one once its change is made.
                let is_stranger = step.take_flag("stranger").unwrap();
                let caller = if is_stranger { Caller(digest(call + 1)) } else { CALLER };
                pool.control().callers.answered(CALLER, now);
                self.changes.insert(call, pool.change_begins(caller, now));
            }
            "ended" => {
                let ended = match &*step.take_text("outcome").unwrap().unwrap() {
                    "success" => Ended::Done,
                    "uncertain" => Ended::Unclear,
                    "refused" => Ended::Refused,
                    other => panic!("{other}"),
                };
                self.changes.remove(&call.unwrap()).unwrap().ends(ended, now.unwrap());
            }
            "replaced" => {
                self.epochs[place] += 1;
                let terms = PoolTerms { bound: TERMS.bound, memory: MEMORY };
                pool.configure(terms, self.epochs[place]);
            }
            other => panic!("{other}"),
        }
    }

    fn ask(&mut self, mut step: Object, place: usize, now: BootTime) {
        let mut number = |key| step.take_count(key, 0, 1 << 53).unwrap().unwrap();
        let (question, collection) = (number("question"), number("collection"));
        let guarantee = number("guarantee");
        let stated = match step.take("level") {
            Some(Value::Text(name)) => Some(level(&name)),
            _ => None,
        };
        let mut read = Read {
            key: digest(question),
            collection_key: digest(collection),
            level: stated,
            guarantee,
            ..read(0)
        };
        let bench = &self.pools[place];
        if stated.is_some() {
            // The model takes it for granted that the collection has no TTL.
            read.collection_key[16] = 1;
            if let Some(ticket) = bench.level(&read.collection_key, now) {
                ticket.learned(FACTS, now);
            }
        }
        let patience = Patience { now: bench.began, deadline: None, bytes: 0 };
        let waker = || Box::new(Woken(Arc::default())) as Box<dyn Wake>;
        let decision = bench.pool.ask(&read, TERMS, now, patience, waker);
        let expected = step.take_text("is").unwrap().unwrap();
        let whole = format!("{}: {question} at {now:?}: {expected}, is {decision:?}", self.name);
        match (&*expected, decision) {
            ("hit", Decision::Hit(hit)) => {
                let sent = at(step.take_count("sent", 0, 1 << 53).unwrap().unwrap());
                let upto = step.take_count("upto", 0, 1 << 53).unwrap().unwrap();
                assert_eq!(now.since(sent), hit.age, "{whole}");
                let is_eventual = upto == 0;
                let key = EntryKey { digest: read.key, is_eventual };
                let mut shard = bench.pool.shard(&key);
                let Found::Usable(entry) = shard.entries.find(&key, |_| true) else { panic!() };
                assert_eq!(upto, entry.label.upto, "{whole}");
            }
            ("join", Decision::Join(seat)) => {
                let flight = step.take_count("flight", 0, 1 << 53).unwrap().unwrap();
                self.seats.entry(flight).or_default().push(seat);
            }
            ("fill", Decision::Fill(fill)) => {
                let flight = step.take_count("flight", 0, 1 << 53).unwrap().unwrap();
                let ask_for = match step.take("ask_for") {
                    Some(Value::Number(timestamp)) => Some(timestamp as u64),
                    _ => None,
                };
                assert_eq!(ask_for, fill.ask_for(), "{whole}");
                self.fills.insert(flight, fill);
                self.pool_of.insert(flight, place);
            }
            ("forward", Decision::Forward(..)) => {}
            _ => panic!("{whole}"),
        }
        *self.seen.entry(expected).or_default() += 1;
    }

    fn answer(&mut self, flight: u64, is_good: bool, now: BootTime) {
        let fill = self.fills.remove(&flight).unwrap();
        let seats = self.seats.remove(&flight).unwrap_or_default();
        let answer: Arc<[u8]> = flight.to_le_bytes().into();
        if is_good {
            fill.finish(Arc::clone(&answer), now);
            for seat in seats {
                let Outcome::Answer(hit) = seat.outcome(now) else { panic!("{}", self.name) };
                assert_eq!(answer, hit.answer, "{}", self.name);
            }
        } else {
            drop(fill);
            // The model has no promotion: here all have left.
            drop(seats);
        }
    }
}

fn digest(number: u64) -> [u8; 32] {
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&number.to_le_bytes());
    digest[24..].copy_from_slice(&number.to_be_bytes());
    digest
}

fn level(name: &str) -> Level {
    match name {
        "strong" => Level::Strong,
        "session" => Level::Session,
        "bounded" => Level::Bounded,
        "eventually" => Level::Eventually,
        "customized" => Level::Customized,
        other => panic!("{other}"),
    }
}

#[test]
fn the_pools_decide_as_the_model_does() {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for (name, steps) in cases() {
        let mut replica = Replica::new(name);
        steps.into_iter().for_each(|step| replica.step(step));
        for (verdict, count) in replica.seen {
            *seen.entry(verdict).or_default() += count;
        }
    }

    for (verdict, least) in [("hit", 50), ("join", 20), ("fill", 200), ("forward", 200)] {
        assert!(seen[verdict] > least, "{seen:?}");
    }
}

#[test]
fn each_condition_in_the_table_has_a_history_and_the_reverse() {
    let table = TABLE.split("//! The callers of the pool").next().unwrap();
    let is_condition = |name: &&str| {
        name.contains('_') && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
    };
    let listed: BTreeSet<&str> = table.split('`').filter(is_condition).collect();
    let cases = cases();
    let names = cases.iter().map(|(name, _)| name.as_str());
    let shown: BTreeSet<&str> = names.filter(|name| !name.starts_with("random")).collect();
    assert_eq!(listed, shown);
}
