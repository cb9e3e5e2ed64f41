//! What a message asks for, as a structure to compare: slow, and by PyMilvus's numbers of fields.

use std::collections::BTreeMap;

use crate::wire::json::{Object, Value as Json};
use crate::wire::records::{Record, Records, Value};

/// The fields of each message that are not simply part of its key.
pub struct Kinds(BTreeMap<String, Numbers>);

struct Numbers {
    ignored: Vec<u32>,
    sorted: Vec<u32>,
    maps: Vec<u32>,
    nested: BTreeMap<u32, String>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Model {
    fields: Vec<Field>,
    /// By the number of their field.
    pairs: BTreeMap<u32, Pairs>,
}

#[derive(Debug, PartialEq, Eq)]
enum Field {
    AsSent(Vec<u8>),
    Nested(Model),
}

#[derive(Debug, PartialEq, Eq)]
enum Pairs {
    Sorted(BTreeMap<Vec<u8>, Vec<u8>>),
    AsSent(Vec<Vec<u8>>),
}

/// A key, and the bytes of its field.
type Pair = (Vec<u8>, Vec<u8>);

impl Kinds {
    pub fn of(mut kinds: Object) -> Self {
        let names = ["Search", "HybridSearch", "Query", "Part", "SubSearch"];
        let numbers = |name: &str| {
            let Some(Json::Object(kind)) = kinds.take(name) else { panic!("{name}") };
            (name.to_owned(), Numbers::of(kind))
        };
        Self(names.map(numbers).into())
    }

    /// The model of a message that is known to be readable.
    pub fn model(&self, kind: &str, message: &[u8]) -> Model {
        let numbers = &self.0[kind];
        let mut fields = Vec::new();
        let mut pairs: BTreeMap<u32, Vec<Pair>> = BTreeMap::new();
        for record in Records::new(message) {
            let Record { number, value, bytes: sent } = record.unwrap();
            let is_ignored = numbers.ignored.contains(&number);
            match value {
                // `base` is a message, the other ignored fields are numbers.
                Value::Varint(_) if is_ignored && number != 1 => {}
                Value::Bytes(_) if is_ignored && number == 1 => {}
                Value::Bytes(pair) if numbers.has_pairs(number) => {
                    pairs.entry(number).or_default().push((key_of(pair), sent.to_vec()));
                }
                Value::Bytes(bytes) if numbers.nested.contains_key(&number) => {
                    fields.push(Field::Nested(self.model(&numbers.nested[&number], bytes)));
                }
                _ => fields.push(Field::AsSent(sent.to_vec())),
            }
        }
        let pairs = pairs.into_iter().map(|(number, list)| {
            let is_map = numbers.maps.contains(&number);
            (number, Pairs::of(list, is_map))
        });
        Model { fields, pairs: pairs.collect() }
    }
}

impl Numbers {
    fn of(mut kind: Object) -> Self {
        let mut listed = |key| {
            let Some(Json::List(list)) = kind.take(key) else { panic!("{key}") };
            let number = |each| if let Json::Number(number) = each { number as u32 } else { 0 };
            list.into_iter().map(number).collect()
        };
        let (ignored, sorted, maps) = (listed("ignored"), listed("sorted"), listed("maps"));
        let Some(Json::Object(mut nested)) = kind.take("nested") else { panic!("nested") };
        let nested = [5, 17].into_iter().filter_map(|number: u32| {
            Some((number, nested.take_text(&number.to_string()).unwrap()?))
        });
        Self { ignored, sorted, maps, nested: nested.collect() }
    }

    fn has_pairs(&self, number: u32) -> bool {
        self.sorted.contains(&number) || self.maps.contains(&number)
    }
}

impl Pairs {
    fn of(list: Vec<Pair>, is_map: bool) -> Self {
        let is_plain =
            |key: &[u8]| key.iter().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
        let map: BTreeMap<_, _> = list.iter().cloned().collect();
        if map.len() == list.len() && (is_map || list.iter().all(|(key, _)| is_plain(key))) {
            Self::Sorted(map)
        } else {
            Self::AsSent(list.into_iter().map(|(_, bytes)| bytes).collect())
        }
    }
}

fn key_of(pair: &[u8]) -> Vec<u8> {
    let mut key = Vec::new();
    for record in Records::new(pair) {
        let record = record.unwrap();
        if let (1, Value::Bytes(bytes)) = (record.number, record.value) {
            key = bytes.to_vec();
        }
    }
    key
}
