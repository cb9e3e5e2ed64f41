//! Reads that wait for another one.

use super::*;

#[test]
fn two_hundred_get_the_answer_to_one() {
    let bench = bench();
    bench.prepare(1000);
    let fill = bench.fill(&read(1), 1000);
    let seats: Vec<Seat> = (0..200).map(|_| bench.join(&read(1), 1001)).collect();
    assert_eq!(0, bench.woken());
    fill.finish(answer(10), at(1002));

    assert_eq!(200, bench.woken());
    for seat in seats {
        let Outcome::Answer(hit) = seat.outcome(at(1003)) else { panic!() };
        assert_eq!(answer(10), hit.answer);
    }
    assert_eq!(200, bench.pool.report(at(1003)).outcomes.joined);
}

#[test]
fn one_is_promoted_when_the_leader_is_lost_and_the_others_wait_for_it() {
    let bench = bench();
    bench.prepare(1000);
    let fill = bench.fill(&read(1), 1000);
    let mut seats: Vec<Seat> = (0..5).map(|_| bench.join(&read(1), 1001)).collect();
    drop(fill);
    assert_eq!(1, bench.woken());
    // Who comes meanwhile waits with them.
    seats.push(bench.join(&read(1), 1002));

    let Outcome::Lead(fill) = seats.remove(0).outcome(at(1003)) else { panic!() };
    assert_eq!(Some(timestamp(0)), fill.ask_for());
    let Outcome::Still(second) = seats.remove(0).outcome(at(1003)) else { panic!() };
    seats.push(second);
    fill.finish(answer(10), at(1004));
    for seat in seats {
        assert!(matches!(seat.outcome(at(1005)), Outcome::Answer(_)));
    }
    assert_eq!(6, bench.woken());
}

#[test]
fn one_is_promoted_also_when_the_leader_gave_up_on_a_slow_fill() {
    let bench = bench();
    bench.prepare(1000);
    let fill = bench.fill(&read(1), 1000);
    let seats = [bench.join(&read(1), 1001), bench.join(&read(1), 1001)];
    fill.lost(at(2000));

    let [first, second] = seats;
    let Outcome::Lead(_fill) = first.outcome(at(2000)) else { panic!() };
    assert!(matches!(second.outcome(at(2000)), Outcome::Still(_)));
    assert_eq!(1, bench.woken());
}

#[test]
fn a_promoted_read_that_is_gone_promotes_the_next() {
    let bench = bench();
    bench.prepare(1000);
    let fill = bench.fill(&read(1), 1000);
    let first = bench.join(&read(1), 1001);
    let gone = bench.join(&read(1), 1001);
    let second = bench.join(&read(1), 1001);
    drop(gone);
    drop(fill);
    drop(first);

    assert_eq!(2, bench.woken());
    let Outcome::Lead(fill) = second.outcome(at(1002)) else { panic!() };
    drop(fill);
    assert!(bench.pool.shard(&key(1)).flights.is_empty());
}

#[test]
fn the_promoted_read_asks_for_the_guarantees_of_all() {
    let bench = bench();
    bench.prepare(1000);
    let level = Some(Level::Session);
    // A step of Milvus's timestamps after the one that the others would ask for.
    let with_guarantee = Read { level, guarantee: timestamp(50), ..read(1) };
    let fill = bench.fill(&with_guarantee, 1000);
    let first = bench.join(&read(1), 1001);
    let second = bench.join(&Read { guarantee: timestamp(40), ..read(1) }, 1001);
    drop(fill);

    let Outcome::Lead(fill) = first.outcome(at(1002)) else { panic!() };
    assert!(fill.ask_for() >= Some(timestamp(40)));
    fill.finish(answer(10), at(1003));
    assert!(matches!(second.outcome(at(1004)), Outcome::Answer(_)));
}

/// Milvus waits until its time is past the guarantee of the first; it would not wait for the second.
#[test]
fn a_read_waits_for_no_guarantee_that_is_later_than_its_own() {
    let bench = bench();
    bench.prepare(1000);
    let level = Some(Level::Session);
    let after_a_write = Read { level, guarantee: timestamp(990), ..read(1) };
    let _fill = bench.fill(&after_a_write, 1000);

    assert!(matches!(bench.ask(&Read { level, ..read(1) }, 1001), Decision::Fill(_)));
    let _same = bench.join(&after_a_write, 1001);
    let _earlier = bench.join(&Read { guarantee: timestamp(945), ..after_a_write.clone() }, 1001);
    // The level Bounded ignores its guarantee.
    let bounded = Read { guarantee: timestamp(990), ..read(1) };
    assert!(!matches!(bench.ask(&bounded, 1001), Decision::Join(_)));
}

#[test]
fn a_few_that_wait_are_sent_themselves_when_their_fill_is_overtaken() {
    let bench = bench();
    bench.prepare(1000);
    let fill = bench.fill(&read(1), 1000);
    let seats: Vec<Seat> = (0..8).map(|_| bench.join(&read(1), 1001)).collect();
    fill.overtaken(at(1600));

    assert_eq!(8, bench.woken());
    for seat in seats {
        assert!(matches!(seat.outcome(at(1600)), Outcome::Forward(Reason::SlowFill)));
    }
    assert!(bench.pool.shard(&key(1)).flights.is_empty());
    assert!(matches!(bench.ask(&read(1), 1601), Decision::Fill(_)), "nothing was stored");
}

#[test]
fn of_many_that_wait_one_is_promoted_the_first_time() {
    let bench = bench();
    bench.prepare(1000);
    let fill = bench.fill(&read(1), 1000);
    let mut seats: Vec<Seat> = (0..200).map(|_| bench.join(&read(1), 1001)).collect();
    fill.overtaken(at(1600));

    assert_eq!(1, bench.woken());
    let Outcome::Lead(mut fill) = seats.remove(0).outcome(at(1600)) else { panic!() };
    fill.sent(at(1600));
    fill.overtaken(at(2200));

    assert_eq!(200, bench.woken());
    for seat in seats {
        assert!(matches!(seat.outcome(at(2200)), Outcome::Forward(Reason::SlowFill)));
    }
    assert_eq!(Some(Reason::SlowFill), reason(&bench.ask(&read(1), 2300)));
}

#[test]
fn all_are_sent_unchanged_when_no_fill_may_start() {
    let bench = bench();
    bench.prepare(1000);
    let fill = bench.fill(&read(1), 1000);
    let seats = [bench.join(&read(1), 1001), bench.join(&read(1), 1001)];
    let _change = bench.change(1002);
    drop(fill);

    for seat in seats {
        assert!(matches!(seat.outcome(at(1003)), Outcome::Forward(Reason::Closed)));
    }
    assert_eq!(2, bench.woken());
    assert!(bench.pool.shard(&key(1)).flights.is_empty());
}

#[test]
fn nobody_waits_longer_than_the_cap_or_its_own_deadline() {
    let bench = bench();
    bench.prepare(1000);
    let fill = bench.fill(&read(1), 1000);
    let patient = bench.join(&read(1), 1001);
    let second = Duration::from_secs(1);
    let patience = Patience { now: bench.began, deadline: Some(bench.began + second), bytes: 0 };
    let Decision::Join(hasty) = bench.ask_with(&read(1), TERMS, 1001, patience) else { panic!() };

    let next = bench.pool.ring(bench.began + second / 2);
    assert_eq!(Some(bench.began + second), next);
    assert_eq!(0, bench.woken());
    assert_eq!(Some(bench.began + TERMS.max_wait), bench.pool.ring(bench.began + second));
    assert!(matches!(hasty.outcome(at(2001)), Outcome::Expired));
    assert_eq!(None, bench.pool.ring(bench.began + TERMS.max_wait));
    assert!(matches!(patient.outcome(at(4001)), Outcome::Forward(Reason::Waited)));
    assert_eq!(2, bench.woken());
    // The leader is not lost for that.
    fill.finish(answer(1), at(4002));
    assert!(matches!(bench.ask(&read(1), 4003), Decision::Hit(_)));
}

#[test]
fn a_read_that_cannot_wait_is_sent() {
    let bench = bench();
    bench.prepare(1000);
    let _fill = bench.fill(&read(1), 1000);
    let patience = Patience { now: bench.began, deadline: Some(bench.began), bytes: 0 };
    assert_eq!(Some(Reason::Waited), reason(&bench.ask_with(&read(1), TERMS, 1001, patience)));
}

#[test]
fn the_bytes_that_wait_are_bounded_and_come_back() {
    let bench = bench();
    bench.prepare(1000);
    let _fill = bench.fill(&read(1), 1000);
    let patience = Patience { now: bench.began, deadline: None, bytes: MEMORY / 8 };
    let ask = || bench.ask_with(&read(1), TERMS, 1001, patience);
    let (Decision::Join(first), Decision::Join(_second)) = (ask(), ask()) else { panic!() };
    assert_eq!(Some(Reason::Parked), reason(&ask()));
    drop(first);
    assert!(matches!(ask(), Decision::Join(_)));
}

fn key(key: u8) -> crate::cache::pool::entries::EntryKey {
    crate::cache::pool::entries::EntryKey { digest: [key; 32], is_eventual: false }
}
