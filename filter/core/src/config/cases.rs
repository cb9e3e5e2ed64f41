//! The cases of testdata/configuration.json, which hold for the control plane too.

use std::fmt::Debug;

use crate::wire::json::{parse_object, Object, Value};

const CASES: &str = include_str!("../../../testdata/configuration.json");

/// The cases of a kind of configuration: its JSON text, and the meaning of one that is accepted.
fn cases(kind: &str) -> Vec<(String, Option<Object>)> {
    let mut object = parse_object(CASES.as_bytes()).unwrap();
    let Some(Value::List(cases)) = object.take(kind) else { panic!("no cases for {kind}") };
    let case = |case| {
        let Value::Object(mut case) = case else { panic!("{case}") };
        let meaning = match case.take("meaning") {
            Some(Value::Object(meaning)) => Some(meaning),
            None => None,
            Some(other) => panic!("{other}"),
        };
        (case.take_text("json").unwrap().unwrap(), meaning)
    };
    cases.into_iter().map(case).collect()
}

/// Checks that `parse` accepts what has a meaning, as `expected` reads it of the case, and refuses everything else.
pub fn check<T: Debug + PartialEq>(
    kind: &str,
    parse: impl Fn(&[u8]) -> Result<T, String>,
    expected: impl Fn(&mut Object) -> T,
) {
    let cases = cases(kind);
    assert!(cases.len() > 5);
    for (text, meaning) in cases {
        let parsed = parse(text.as_bytes());
        match meaning {
            Some(mut meaning) => {
                assert_eq!(Ok(expected(&mut meaning)), parsed, "{text}");
                meaning.finish().unwrap();
            }
            None => assert!(parsed.is_err(), "{text}: {parsed:?}"),
        }
    }
}

/// The errors of the cases that are refused, in order.
pub fn refused<T>(kind: &str, parse: impl Fn(&[u8]) -> Result<T, String>) -> Vec<String> {
    let refused = cases(kind).into_iter().filter(|(_, meaning)| meaning.is_none());
    refused.filter_map(|(text, _)| parse(text.as_bytes()).err()).collect()
}
