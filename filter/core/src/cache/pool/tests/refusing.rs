//! Reads that are sent unchanged, and why.

use super::*;

#[test]
fn the_same_read_twice_is_a_fill_and_a_hit() {
    let bench = bench();
    bench.prepare(1000);
    let Decision::Fill(fill) = bench.ask(&read(1), 1000) else { panic!() };
    assert_eq!(Some(timestamp(0)), fill.ask_for());
    fill.finish(answer(10), at(1010));

    let Decision::Hit(hit) = bench.ask(&read(1), 5000) else { panic!() };
    assert_eq!(Hit { answer: answer(10), age: Duration::from_secs(5) }, hit);
    let report = bench.pool.report(at(5000));
    assert_eq!(Counts { hit: 1, joined: 0, miss: 1, bypass: 0 }, report.outcomes);
    assert_eq!(1, report.entries);
    assert_eq!((false, Some(Duration::from_secs(5))), (report.is_closed, report.sample_age));
}

#[test]
fn collections_whose_answers_change_without_writes_are_not_cached() {
    let bench = bench();
    bench.prepare(1000);
    for (facts, expected) in [
        (Facts { has_ttl: true, ..FACTS }, Reason::Ttl),
        (Facts { is_external: true, ..FACTS }, Reason::External),
        (Facts { level: Level::Strong, ..FACTS }, Reason::Strong),
    ] {
        bench.learn(facts, 1000);
        let read = Read { level: None, ..read(1) };
        assert_eq!(Some(expected), reason(&bench.ask(&read, 1000)));
    }
}

#[test]
fn each_reason_has_a_read_with_it() {
    let bench = bench();
    let strong = Read { level: Some(Level::Strong), ..read(1) };
    assert_eq!(Some(Reason::Strong), reason(&bench.ask(&strong, 1000)));
    assert_eq!(Some(Reason::LevelUnknown), reason(&bench.ask(&read(1), 1000)));
    bench.learn(FACTS, 1000);
    assert_eq!(Some(Reason::NoSample), reason(&bench.ask(&read(1), 1000)));
    bench.prepare(1000);
    let change = bench.change(1000);
    assert_eq!(Some(Reason::Closed), reason(&bench.ask(&read(1), 1000)));
    change.ends(Ended::Refused, at(1001));
    assert!(matches!(bench.ask(&read(1), 1001), Decision::Fill(_)));
}

#[test]
fn a_guarantee_of_another_milvus_is_not_waited_for() {
    let bench = bench();
    bench.prepare(1000);
    // The newest timestamp is 1 s old, and this one is at most what it must be now.
    let level = Some(Level::Session);
    let own = Read { level, guarantee: timestamp(1000), ..read(1) };
    assert_eq!(Some(timestamp(1000)), bench.fill(&own, 1000).ask_for());
    let other = Read { level, guarantee: timestamp(1501), ..read(1) };
    assert_eq!(Some(Reason::GuaranteeAhead), reason(&bench.ask(&other, 1000)));
}

#[test]
fn a_bounded_read_does_not_wait_for_its_guarantee_as_in_milvus() {
    let bench = bench();
    bench.prepare(1000);
    let old = Read { guarantee: timestamp(0), ..read(1) };
    assert!(bench.fill(&old, 1000).ask_for().is_some());
    let young = Read { guarantee: timestamp(1), ..read(1) };
    assert_eq!(Some(Reason::GuaranteeAhead), reason(&bench.ask(&young, 1000)));
    let other = Read { guarantee: timestamp(1501), ..read(1) };
    assert_eq!(Some(Reason::GuaranteeAhead), reason(&bench.ask(&other, 1000)));
}

#[test]
fn what_sdks_send_for_a_level_is_no_guarantee() {
    let bench = bench();
    bench.prepare(1000);
    let eventually = Read { level: Some(Level::Eventually), guarantee: 1, ..read(1) };
    let fill = bench.fill(&eventually, 1000);
    assert_eq!(None, fill.ask_for());
    fill.finish(answer(10), at(1010));

    assert!(matches!(bench.ask(&eventually, 1020), Decision::Hit(_)));
    // At a collection whose default is Session, Milvus takes 1 as it is and does not wait.
    let facts = Facts { level: Level::Session, ..FACTS };
    bench.learn(facts, 1020);
    let by_default = Read { level: None, ..eventually };
    assert!(matches!(bench.ask(&by_default, 1020), Decision::Hit(_)));
}

#[test]
fn an_answer_that_cannot_be_kept_is_remembered() {
    let bench = bench();
    bench.prepare(1000);
    let fill = bench.fill(&read(1), 1000);
    let seat = bench.join(&read(1), 1001);
    fill.cannot_be_kept(Reason::TooLarge, at(1002));

    assert!(matches!(seat.outcome(at(1002)), Outcome::Forward(Reason::TooLarge)));
    assert_eq!(Some(Reason::TooLarge), reason(&bench.ask(&read(1), 1003)));
}

#[test]
fn after_slow_fills_reads_of_the_collection_are_sent_unchanged_but_hits_stay() {
    let bench = bench();
    bench.prepare(1000);
    bench.fill(&read(1), 1000).finish(answer(10), at(1010));
    let mut fills = [bench.fill(&read(2), 1100), bench.fill(&read(3), 1100)];
    fills.iter_mut().for_each(|fill| fill.answering(at(2000)));

    assert!(matches!(bench.ask(&read(1), 2001), Decision::Hit(_)));
    let Decision::Forward(Reason::SlowFill, Some(_)) = bench.ask(&read(4), 2001) else { panic!() };
}

#[test]
fn a_slow_fill_in_flight_is_not_joined() {
    let bench = bench();
    bench.prepare(1000);
    let fill = bench.fill(&read(1), 1000);
    assert!(matches!(bench.ask(&read(1), 1500), Decision::Join(_)));
    assert_eq!(Some(Reason::SlowFill), reason(&bench.ask(&read(1), 1501)));
    // The others are not slow for that.
    assert!(matches!(bench.ask(&read(2), 1501), Decision::Fill(_)));
    drop(fill);
}

#[test]
fn time_in_a_queue_of_kiteway_is_not_milvuss() {
    let bench = bench();
    bench.prepare(1000);
    for key in 1..4 {
        let Decision::Fill(mut fill) = bench.ask(&read(key), 1000) else { panic!() };
        assert!(matches!(bench.ask(&read(key), 3000), Decision::Join(_)));
        fill.sent(at(3000));
        fill.sent(at(9000));
        fill.answering(at(3400));
    }
    assert!(bench.fill(&read(5), 3500).ask_for().is_some());
}

#[test]
fn the_usual_time_is_that_of_reads_that_are_sent_unchanged() {
    let bench = bench();
    bench.learn(FACTS, 1000);
    let Decision::Forward(Reason::NoSample, Some(mut watch)) = bench.ask(&read(1), 1000) else {
        panic!()
    };
    watch.sent(at(2000));
    watch.sent(at(2500));
    watch.answering(at(2800));
    bench.prepare(3000);
    let fill = bench.fill(&read(1), 3000);
    assert!(matches!(bench.ask(&read(1), 4300), Decision::Join(_)));
    assert_eq!(Some(Reason::SlowFill), reason(&bench.ask(&read(1), 4301)));
    drop(fill);
}

#[test]
fn fills_that_clients_give_up_on_in_succession_were_slow() {
    let bench = bench();
    bench.prepare(1000);
    bench.fill(&read(1), 1000).lost(at(1101));
    bench.fill(&read(1), 1101).lost(at(1202));

    assert_eq!(Some(Reason::SlowFill), reason(&bench.ask(&read(1), 1203)));
}

#[test]
fn what_a_fill_takes_that_waits_for_its_own_guarantee_says_nothing() {
    let bench = bench();
    bench.prepare(1000);
    for key in 1..4 {
        let level = Some(Level::Session);
        let own = Read { level, guarantee: timestamp(1000), ..read(key) };
        bench.fill(&own, 1000).answering(at(2000));
    }

    assert!(bench.fill(&read(5), 2001).ask_for().is_some());
}
