//! What callers that Milvus has never answered well can do to the others: little.

use super::*;

const STRANGER: Caller = Caller([9; 32]);

fn due(bench: &Bench, caller: Caller, key: u8, now: u64) -> Due {
    let read = Read { caller, collection_key: [key; 32], ..read(key) };
    bench.pool.due(&read, TERMS, at(now))
}

/// A pool that has been in use for long, with a caller that is known.
fn used() -> Bench {
    let bench = bench();
    bench.pool.control().generation.starts(at(0));
    bench.prepare(10_000);
    bench
}

#[test]
fn collections_that_are_read_once_are_not_described_whatever_headers_the_reads_have() {
    let bench = used();
    for key in 1..100 {
        assert!(due(&bench, CALLER, key, 10_000).level.is_none());
    }
    assert!(due(&bench, CALLER, 1, 10_000).level.is_some());
}

#[test]
fn a_stranger_describes_little_and_leaves_the_rest_to_the_others() {
    let bench = used();
    (1..100).for_each(|key| drop(due(&bench, STRANGER, key, 10_000)));
    let strangers: Vec<_> =
        (1..100).filter_map(|key| due(&bench, STRANGER, key, 10_000).level).collect();
    assert_eq!(2, strangers.len());
    let known: Vec<_> = (1..100).filter_map(|key| due(&bench, CALLER, key, 10_000).level).collect();
    assert_eq!(6, known.len());
    drop((known, strangers));

    let begun = (1..100).filter(|key| due(&bench, STRANGER, *key, 10_001).level.is_some());
    assert_eq!(8, begun.count());
}

#[test]
fn a_stranger_takes_no_turn_of_the_others() {
    let bench = used();
    let mut good = 0;
    for now in 10_000..40_000 {
        drop(due(&bench, STRANGER, 1, now).sample);
        if now % 100 == 51 {
            if let Some(ticket) = due(&bench, CALLER, 2, now).sample {
                good += 1;
                ticket.answered(timestamp(now), at(now + 2));
            }
        }
    }
    assert!(good >= 25, "{good} samples in 30 s");
}

#[test]
fn a_caller_is_known_once_milvus_has_answered_it_well() {
    let bench = used();
    assert!(!due(&bench, STRANGER, 1, 10_000).is_known);
    due(&bench, STRANGER, 1, 11_000).sample.unwrap().answered(timestamp(11_000), at(11_001));
    assert!(due(&bench, STRANGER, 1, 11_002).is_known);

    let by_change = Caller([8; 32]);
    bench.pool.change_begins(by_change, at(11_000)).ends(Ended::Unclear, at(11_001));
    assert!(!due(&bench, by_change, 1, 11_002).is_known);
    bench.pool.change_begins(by_change, at(11_000)).ends(Ended::Done, at(11_001));
    assert!(due(&bench, by_change, 1, 11_002).is_known);
}

#[test]
fn a_stranger_closes_nothing_and_empties_nothing() {
    let bench = used();
    let generation = bench.pool.report(at(10_000)).generation;
    for ended in [None, Some(Ended::Unanswered), Some(Ended::Refused)] {
        let change = bench.pool.change_begins(STRANGER, at(10_000));
        assert!(!bench.pool.report(at(10_000)).is_closed);
        match ended {
            Some(ended) => change.ends(ended, at(10_001)),
            None => drop(change),
        }
        let report = bench.pool.report(at(10_001));
        assert_eq!((false, generation), (report.is_closed, report.generation), "{ended:?}");
    }
}

#[test]
fn a_strangers_change_that_milvus_makes_empties_the_cache() {
    for ended in [Ended::Done, Ended::Unclear] {
        let bench = used();
        bench.fill(&read(1), 10_000).finish(answer(10), at(10_001));
        let late = bench.fill(&read(2), 10_001);
        let change = bench.pool.change_begins(STRANGER, at(10_002));
        assert!(matches!(bench.ask(&read(1), 10_003), Decision::Hit(_)));
        change.ends(ended, at(10_004));
        late.finish(answer(10), at(10_005));

        assert!(bench.pool.report(at(11_004)).is_closed);
        assert!(!bench.pool.report(at(11_005)).is_closed);
        bench.learn(FACTS, 11_005);
        for key in 1..3 {
            assert!(!matches!(bench.ask(&read(key), 11_006), Decision::Hit(_)), "{ended:?}");
        }
    }
}

/// Milvus may have made it, and answers to Eventually reads are kept for long.
#[test]
fn a_change_of_a_known_caller_that_is_lost_empties_the_cache() {
    let bench = used();
    let eventually = Read { level: Some(Level::Eventually), ..read(1) };
    bench.fill(&eventually, 10_001).finish(answer(10), at(10_002));
    drop(bench.change(10_003));

    assert!(bench.pool.report(at(15_003)).is_closed);
    bench.learn(FACTS, 15_100);
    assert!(!matches!(bench.ask(&eventually, 15_101), Decision::Hit(_)));
}

#[test]
fn a_stream_of_changes_keeps_the_cache_closed_until_it_ends() {
    for caller in [CALLER, STRANGER] {
        let bench = used();
        let mut change = bench.pool.change_begins(caller, at(10_000));
        change.lasts();
        change.lasts();
        assert!(bench.pool.report(at(60_000)).is_closed);
        change.ends(Ended::Unclear, at(60_000));
        assert!(bench.pool.report(at(61_000)).is_closed);
        assert!(!bench.pool.report(at(61_001)).is_closed);
    }
}

#[test]
fn a_pool_is_closed_in_its_first_second() {
    let bench = bench();
    due(&bench, CALLER, 1, 10_000);
    assert!(bench.pool.report(at(11_000)).is_closed);
    assert!(!bench.pool.report(at(11_001)).is_closed);
}

#[test]
fn a_hit_asks_for_a_timestamp_once_a_second_and_a_fill_five_times() {
    let bench = used();
    bench.fill(&read(1), 10_000).finish(answer(10), at(10_001));
    let first = bench.pool.due(&read(1), TERMS, at(10_001)).sample.unwrap();
    first.answered(timestamp(10_001), at(10_002));
    assert!(bench.pool.due(&read(1), TERMS, at(11_000)).sample.is_none());
    assert!(bench.pool.due(&read(3), TERMS, at(11_000)).sample.is_none(), "it comes once");
    bench.ask(&read(2), 10_200);
    assert!(bench.pool.due(&read(2), TERMS, at(10_201)).sample.is_some());
}

#[test]
fn an_older_answer_that_comes_later_replaces_no_newer_one() {
    let bench = used();
    let old = bench.fill(&read(1), 10_000);
    bench.sample(at(10_000)).answered(timestamp(10_000), at(10_001));
    let own = Read { guarantee: timestamp(9900), ..read(1) };
    let Decision::Fill(new) = bench.ask(&own, 11_000) else { panic!() };
    new.finish(answer(2), at(11_001));
    old.finish(answer(1), at(11_002));

    let Decision::Hit(hit) = bench.ask(&read(1), 11_003) else { panic!() };
    assert_eq!(answer(2), hit.answer);
}
