//! Which questions a pool takes for new, and which for repeated.

use super::*;
use crate::cache::question::glance::{Credentials, Glance};

/// A read of a question, by this number.
fn question(number: u64) -> Read {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&number.to_le_bytes());
    key[24..].copy_from_slice(&number.to_be_bytes());
    Read { key, ..read(0) }
}

/// Asks 100 questions whose fills end as `ends` says, and returns whether the pool looks at reads afterwards.
fn looks_after(ends: impl Fn(&Bench, u64, Fill)) -> bool {
    let bench = bench();
    bench.prepare(1000);
    for number in 0..100 {
        let fill = bench.fill(&question(number), 1000);
        ends(&bench, number, fill);
    }
    bench.pool.looks()
}

#[test]
fn questions_that_nobody_repeats_are_looked_at_before_they_are_filled() {
    assert!(looks_after(|_, _, fill| fill.finish(answer(1), at(1000))));
}

/// A stranger gets no good answer of Milvus.
#[test]
fn only_a_good_answer_says_anything() {
    assert!(!looks_after(|_, _, fill| drop(fill)));
    assert!(!looks_after(|_, _, fill| fill.cannot_be_kept(Reason::Failed, at(1000))));
}

#[test]
fn a_hit_and_a_call_that_is_joined_are_repetitions() {
    assert!(!looks_after(|bench, number, fill| {
        fill.finish(answer(1), at(1000));
        if number % 30 == 0 {
            assert!(matches!(bench.ask(&question(number), 1000), Decision::Hit(_)));
        }
    }));
    assert!(!looks_after(|bench, number, fill| {
        let seat = (number % 30 == 0).then(|| bench.join(&question(number), 1000));
        fill.finish(answer(1), at(1000));
        drop(seat);
    }));
}

#[test]
fn one_hot_question_says_nothing_of_the_others() {
    assert!(looks_after(|bench, number, fill| {
        fill.finish(answer(1), at(1000));
        if number > 0 {
            assert!(matches!(bench.ask(&question(0), 1000), Decision::Hit(_)));
        }
    }));
}

#[test]
fn the_next_fill_of_a_question_that_comes_again_and_again_is_not_new() {
    let bench = bench();
    for number in 0..200 {
        let now = 1000 + 6000 * number;
        bench.prepare(now);
        bench.fill(&question(1), now).finish(answer(1), at(now));
    }
    assert!(!bench.pool.looks());
}

#[test]
fn what_a_look_has_found_is_no_new_question() {
    let bench = bench();
    bench.prepare(1000);
    for number in 0..200 {
        let read = Read { is_repeated: true, ..question(number) };
        bench.fill(&read, 1000).finish(answer(1), at(1000));
    }
    assert!(!bench.pool.looks());
}

#[test]
fn the_pool_looks_no_longer_when_questions_repeat_again() {
    let bench = bench();
    bench.prepare(1000);
    for number in 0..64 {
        bench.fill(&question(number), 1000).finish(answer(1), at(1000));
    }
    let look = |number: u64| {
        let glance = Glance {
            credentials: Credentials(0),
            asker: Asker(0),
            question: number.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        };
        bench.pool.look(glance, TERMS.bound, false, at(1000))
    };
    assert_eq!([Look::Pass, Look::Pass], [1, 2].map(look));
    let again = |passed| Look::Ask { is_repeated: true, passed };
    assert_eq!([again(2), again(0)], [1, 2].map(look));

    assert!(!bench.pool.looks());
}
