//! Reads whose answers are not kept, by what their messages have in them.

use crate::cache::question::pairs::Pair;
use crate::cache::reason::Reason;
use crate::wire::records::{Records, Value};

/// The operator of a filter that takes a random part of the rows (Milvus's Plan.g4).
const RANDOM_SAMPLE: &[u8] = b"random_sample";
/// Rerankers that give the same scores for the same rows (Milvus's rerank_builder.go). What is new may be different.
const RERANKERS: [&[u8]; 4] = [b"boost", b"decay", b"rrf", b"weighted"];

/// Checks a filter, or a text that may have one in it.
pub fn check_text(text: &[u8]) -> Result<(), Reason> {
    let is_random = text
        .windows(RANDOM_SAMPLE.len())
        .any(|part| part[6] == b'_' && part.eq_ignore_ascii_case(RANDOM_SAMPLE));
    if is_random {
        Err(Reason::RandomSample)
    } else {
        Ok(())
    }
}

/// Checks a parameter of a search or query. The keys are those of Milvus's proxy (internal/proxy/task.go).
pub fn check_parameter(pair: &Pair) -> Result<(), Reason> {
    match pair.key {
        b"iterator" if !pair.value.eq_ignore_ascii_case(b"false") => Err(Reason::Iterator),
        b"cluster_id" => Err(Reason::Cluster),
        b"pipeline_trace" => Err(Reason::Trace),
        key if key.starts_with(b"search_iter") => Err(Reason::Iterator),
        _ => Ok(()),
    }
}

/// Checks a `schema.FunctionScore`: functions (1) with parameters (9), and parameters of its own (2).
pub fn check_function_score(message: &[u8]) -> Result<(), Reason> {
    for record in Records::new(message) {
        let record = record?;
        match (record.number, record.value) {
            (1, Value::Bytes(function)) => check_function(function)?,
            (2, Value::Bytes(pair)) => check_reranker(&Pair::of(pair)?)?,
            _ => {}
        }
    }
    Ok(())
}

fn check_function(message: &[u8]) -> Result<(), Reason> {
    let mut is_named = false;
    for record in Records::new(message) {
        let record = record?;
        if let (9, Value::Bytes(pair)) = (record.number, record.value) {
            let pair = Pair::of(pair)?;
            check_reranker(&pair)?;
            is_named |= is_name(pair.key);
        }
    }
    if is_named {
        Ok(())
    } else {
        Err(Reason::Reranker)
    }
}

/// Milvus ignores the case of the parameters' keys and of a reranker's name.
fn is_name(key: &[u8]) -> bool {
    key.eq_ignore_ascii_case(b"reranker")
}

fn check_reranker(pair: &Pair) -> Result<(), Reason> {
    let is_known = || RERANKERS.iter().any(|name| pair.value.eq_ignore_ascii_case(name));
    if is_name(pair.key) && !is_known() || pair.key.eq_ignore_ascii_case(b"random_score") {
        return Err(Reason::Reranker);
    }
    check_text(pair.value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::encode::delimited;

    #[test]
    fn a_random_sample_is_found_wherever_it_stands() {
        for text in [
            "random_sample(0.1)",
            "RANDOM_SAMPLE (0.1)",
            "id > 5 && random_sample(0.001)",
            "Random_Sample(1)",
            "x or random_sample",
        ] {
            assert_eq!(Err(Reason::RandomSample), check_text(text.as_bytes()), "{text}");
        }
        for text in ["", "random", "random_sampl", "randomsample(0.1)", "random-sample"] {
            assert_eq!(Ok(()), check_text(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn parameters_that_make_a_read_special_are_known() {
        for (key, value, reason) in [
            ("iterator", "True", Reason::Iterator),
            ("iterator", "", Reason::Iterator),
            ("search_iter_v2", "False", Reason::Iterator),
            ("search_iter_id", "x", Reason::Iterator),
            ("cluster_id", "2", Reason::Cluster),
            ("pipeline_trace", "true", Reason::Trace),
        ] {
            let pair = Pair { key: key.as_bytes(), value: value.as_bytes() };
            assert_eq!(Err(reason), check_parameter(&pair), "{key} {value}");
        }
        for (key, value) in [("iterator", "False"), ("iterator", "false"), ("topk", "10")] {
            let pair = Pair { key: key.as_bytes(), value: value.as_bytes() };
            assert_eq!(Ok(()), check_parameter(&pair), "{key} {value}");
        }
    }

    fn score(parameters: &[(&str, &str)], own: &[(&str, &str)]) -> Vec<u8> {
        let pair = |number, (key, value): &(&str, &str)| {
            let pair = [delimited(1, key.as_bytes()), delimited(2, value.as_bytes())].concat();
            delimited(number, &pair)
        };
        let function: Vec<u8> = parameters.iter().flat_map(|each| pair(9, each)).collect();
        let own: Vec<u8> = own.iter().flat_map(|each| pair(2, each)).collect();
        [delimited(1, &function), own].concat()
    }

    #[test]
    fn only_rerankers_that_always_give_the_same_scores_are_let_through() {
        for parameters in [
            &[("reranker", "rrf"), ("k", "60")][..],
            &[("reranker", "weighted"), ("weights", "[0.5, 0.5]")],
            &[("Reranker", "Decay"), ("origin", "5")],
            &[("reranker", "boost"), ("filter", "id > 5"), ("weight", "2")],
        ] {
            let own = [("boost_mode", "sum")];
            assert_eq!(Ok(()), check_function_score(&score(parameters, &own)), "{parameters:?}");
        }
        for parameters in [
            &[][..],
            &[("k", "60")],
            &[("reranker", "model"), ("provider", "tei")],
            &[("reranker", "rrf"), ("RERANKER", "new")],
            &[("reranker", "boost"), ("random_score", r#"{"seed": 1}"#)],
        ] {
            let message = score(parameters, &[]);
            assert_eq!(Err(Reason::Reranker), check_function_score(&message), "{parameters:?}");
        }
        let boost = [("reranker", "boost"), ("filter", "random_sample(0.5)")];
        assert_eq!(Err(Reason::RandomSample), check_function_score(&score(&boost, &[])));
        let own = [("random_score", "{}")];
        assert_eq!(Err(Reason::Reranker), check_function_score(&score(&boost[..1], &own)));
        assert_eq!(Err(Reason::Unreadable), check_function_score(b"\x0a\x05"));
        assert_eq!(Ok(()), check_function_score(b""));
    }
}
