//! Many more answers than fit into the memory.

use super::*;

const HOT: u64 = 200;
const SMALL_MEMORY: u64 = 2 << 20;

/// Asks for hot keys one after another each millisecond, and as often for others, each of them twice. Returns the share of
/// hits of the hot ones, in percent.
fn share_of_hits(seconds: u64, has_others: bool) -> u64 {
    let bench = bench();
    let memory = SMALL_MEMORY;
    bench.pool.configure(PoolTerms { bound: TERMS.bound, memory }, 0);
    let (mut hits, mut asked) = (0, 0);
    for millisecond in 1000..1000 + seconds * 1000 {
        if millisecond % 200 == 0 {
            bench.prepare(millisecond);
        }
        // Half of the reads are of 14 keys.
        let place = (millisecond * 7919 % HOT) * (millisecond * 104_729 % HOT) / HOT;
        asked += 1;
        hits += u64::from(ask(&bench, place, 1000, millisecond));
        if has_others {
            ask(&bench, HOT + millisecond / 2, 500 + millisecond as usize % 3000, millisecond);
        }
        let used = bench.pool.report(at(millisecond)).bytes;
        assert!(used <= memory, "{used}");
    }
    if has_others {
        let used = bench.pool.report(at(0)).bytes;
        assert!(used > memory * 9 / 10, "{used}: the memory is used");
    }
    100 * hits / asked
}

/// Whether it is a hit.
fn ask(bench: &Bench, number: u64, length: usize, now: u64) -> bool {
    let mut read = read(0);
    // Numbers in the bytes that choose shards and places, as in a digest.
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    read.key[..8].copy_from_slice(&mixed.to_be_bytes());
    read.key[24..].copy_from_slice(&mixed.to_le_bytes());
    match bench.ask(&read, now) {
        Decision::Hit(_) => true,
        Decision::Fill(fill) => {
            fill.finish(answer(length), at(now));
            false
        }
        _ => false,
    }
}

#[test]
fn memory_is_bounded_and_hot_keys_stay() {
    let alone = share_of_hits(20, false);
    let among_others = share_of_hits(20, true);

    assert!(alone > 80, "{alone} %");
    assert!(among_others + 2 >= alone, "{among_others} % of {alone} %");
}

/// What is asked for the first time, or joined, when the memory is full of answers that were asked for.
#[test]
fn a_new_answer_takes_the_place_of_another_one_only_if_its_question_was_asked_twice() {
    let bench = bench();
    bench.prepare(1000);
    let length = MEMORY as usize / 10;
    let is_hit = |key| matches!(bench.ask(&read(key), 1002), Decision::Hit(_));
    for key in 0..9 {
        bench.fill(&read(key), 1000).finish(answer(length), at(1001));
        assert!(is_hit(key), "there is room for {key}");
    }
    bench.fill(&read(20), 1000).finish(answer(length), at(1001));
    assert!((0..9).all(is_hit));
    assert!(!is_hit(20));

    let fill = bench.fill(&read(21), 1000);
    let seat = bench.join(&read(21), 1000);
    fill.finish(answer(length), at(1001));
    assert!(matches!(seat.outcome(at(1001)), Outcome::Answer(_)));
    assert!(is_hit(21), "another one waited for it");

    bench.fill(&read(22), 1000).finish(answer(length), at(1001));
    bench.fill(&read(22), 1001).finish(answer(length), at(1002));
    assert!(is_hit(22), "it was asked twice");
}

#[test]
fn a_smaller_bound_holds_at_once() {
    let bench = bench();
    bench.prepare(1000);
    for number in 0..1000 {
        ask(&bench, number, 500, 1000);
        ask(&bench, number, 500, 1000);
    }
    assert!(bench.pool.report(at(1000)).bytes > MEMORY / 2);
    bench.pool.configure(PoolTerms { bound: TERMS.bound, memory: MEMORY / 16 }, 0);
    assert!(bench.pool.report(at(1000)).bytes <= MEMORY / 16);
}

/// The process's resident memory, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
#[ignore = "the memory of a process of its own: cargo test --release -- --ignored --nocapture resident_memory"]
fn resident_memory_is_what_is_counted() {
    const LARGE: u64 = 64 << 20;
    for length in [20_000, 2000, 200, 20] {
        let before = resident();
        let bench = bench();
        bench.pool.configure(PoolTerms { bound: TERMS.bound, memory: LARGE }, 0);
        bench.prepare(1000);
        for number in 0..4 * LARGE / (length as u64 + 400) {
            ask(&bench, number, length, 1000);
            ask(&bench, number, length, 1000);
        }
        let (counted, taken) = (bench.pool.report(at(1000)).bytes, resident() - before);
        println!("answers of {length} bytes: {counted} bytes counted, {taken} taken");
    }
}

#[test]
#[ignore = "a measurement: cargo test --release -- --ignored --nocapture what_a_hit_costs"]
fn what_a_hit_costs() {
    let bench = bench();
    bench.prepare(1000);
    for number in 0..1000 {
        ask(&bench, number / 2, 100, 1000);
    }
    for threads in [1, 2] {
        let began = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    (0..1_000_000).for_each(|n| assert!(ask(&bench, n % 500, 100, 1000)))
                });
            }
        });
        println!("{threads} threads: {} ns each", began.elapsed().as_nanos() / 1_000_000);
    }
}
