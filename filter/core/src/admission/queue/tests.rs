use std::collections::HashMap;

use super::*;

type Fair = Ring<Ring<Line>>;

fn all(now: Instant) -> Pick<'static> {
    Pick { now, may: &|_| true }
}

fn pop(queue: &mut Fair) -> Option<Call> {
    queue.pop(&all(Instant::now()))
}

/// A path of a user and a collection.
fn path(user: u32, collection: u32) -> (Key, (Key, Key)) {
    let name = Key::of((user, collection));
    (Key::of(user), (name, name))
}

/// Pops `count` calls while every member always has calls, and returns the cost that each one got.
fn shares(costs: &[(u32, u32, f64)], count: usize) -> HashMap<(u32, u32), f64> {
    let mut queue = Fair::default();
    let mut owners = HashMap::new();
    let mut number = 0;
    let mut push = |queue: &mut Fair, owners: &mut HashMap<u64, usize>, owner: usize| {
        number += 1;
        owners.insert(number, owner);
        let (user, collection, cost) = costs[owner];
        queue.push(path(user, collection), Call { number, cost, bytes: 1, yields_from: None });
    };
    for owner in 0..costs.len() {
        for _ in 0..50 {
            push(&mut queue, &mut owners, owner);
        }
    }
    let mut got = HashMap::new();
    for _ in 0..count {
        let call = pop(&mut queue).unwrap();
        let owner = owners[&call.number];
        let (user, collection, cost) = costs[owner];
        *got.entry((user, collection)).or_default() += cost;
        push(&mut queue, &mut owners, owner);
    }
    got
}

#[test]
fn users_share_the_cost_whatever_their_calls_cost() {
    let got = shares(&[(1, 0, 0.1), (2, 0, 0.003), (3, 0, 0.000_5)], 30_000);
    let total: f64 = got.values().sum();

    for (owner, cost) in &got {
        // Apart by no more than two of the largest calls.
        assert!((cost - total / 3.0).abs() <= 0.2, "{owner:?} {cost} of {total}");
    }
}

#[test]
fn a_user_gets_no_more_by_using_many_collections() {
    let many: Vec<_> = (0..20).map(|collection| (1, collection, 0.01)).collect();
    let got = shares(&[&many[..], &[(2, 0, 0.01)]].concat(), 3_000);

    let first: f64 = got.iter().filter(|((user, _), _)| *user == 1).map(|(_, cost)| cost).sum();
    assert!((first - got[&(2, 0)]).abs() <= 0.05, "{first} {}", got[&(2, 0)]);
    for collection in 0..20 {
        assert!((got[&(1, collection)] - first / 20.0).abs() <= 0.05);
    }
}

#[test]
fn a_cheap_call_waits_for_one_turn_of_each_other_at_most() {
    let mut queue = Fair::default();
    for number in 0..1000 {
        queue.push(path(1, 0), Call { number, cost: 0.5, bytes: 1, yields_from: None });
    }
    pop(&mut queue).unwrap();
    queue.push(path(2, 0), Call { number: 5000, cost: 0.002, bytes: 1, yields_from: None });

    assert_eq!(5000, pop(&mut queue).unwrap().number);
}

#[test]
fn a_line_is_first_in_first_out_and_may_be_passed_over() {
    let mut queue = Fair::default();
    for number in [3, 5, 9] {
        queue.push(path(1, 0), Call { number, cost: 0.001, bytes: 1, yields_from: None });
    }
    queue.push(path(2, 0), Call { number: 10, cost: 9.0, bytes: 1, yields_from: None });
    let (_, (_, passed_over)) = path(1, 0);

    let others = Pick { now: Instant::now(), may: &|name| name != passed_over };
    assert_eq!(10, queue.pop(&others).unwrap().number);
    assert!(queue.pop(&others).is_none());
    let order: Vec<u64> = std::iter::from_fn(|| pop(&mut queue)).map(|call| call.number).collect();
    assert_eq!([3, 5, 9], order[..]);
    assert!(queue.is_empty());
}

#[test]
fn the_newest_comes_first_while_the_oldest_yields() {
    let (mut queue, now) = (Fair::default(), Instant::now());
    let second = std::time::Duration::from_secs(1);
    for (number, from) in [(1, Some(now + second)), (2, Some(now)), (3, Some(now + second))] {
        queue.push(path(1, 0), Call { number, cost: 0.001, bytes: 1, yields_from: from });
    }

    let mut next = |at| queue.pop(&all(at)).unwrap().number;
    assert_eq!(1, next(now));
    assert_eq!(3, next(now));
    assert_eq!(2, next(now));

    for number in [4, 5] {
        queue.push(path(1, 0), Call { number, cost: 0.001, bytes: 1, yields_from: None });
    }
    assert_eq!(vec![4, 5], queue.yield_all(path(1, 0), now));
    assert!(queue.yield_all(path(2, 0), now).is_empty());
    assert_eq!(5, pop(&mut queue).unwrap().number);
}

#[test]
fn nothing_is_lost_and_nothing_served_twice() {
    let mut queue = Fair::default();
    let mut here = HashMap::new();
    let mut held = 0;
    let mut state = 1_u64;
    let mut random = |below: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for number in 0..50_000 {
        match random(3) {
            0 | 1 => {
                let at = path(random(4) as u32, random(3) as u32);
                let call = Call {
                    number,
                    cost: random(100) as f64 / 1000.0,
                    bytes: random(9),
                    yields_from: None,
                };
                queue.push(at, call);
                held += call.bytes;
                here.insert(number, (at, call.bytes));
            }
            _ if random(2) == 0 => {
                let call = pop(&mut queue);
                assert_eq!(here.is_empty(), call.is_none());
                if let Some(call) = call {
                    held -= here.remove(&call.number).unwrap().1;
                }
            }
            _ => {
                let Some((&number, &(at, bytes))) = here.iter().next() else { continue };
                here.remove(&number);
                held -= bytes;
                assert_eq!(number, queue.remove(at, number).unwrap().number);
                assert!(queue.remove(at, number).is_none());
            }
        }
        assert_eq!(held, queue.bytes());
        assert_eq!(here.is_empty(), queue.is_empty());
    }
}

#[test]
fn the_heaviest_is_the_newest_call_of_who_has_the_most_bytes() {
    let mut queue = Fair::default();
    for (number, user, bytes) in [(1, 1, 10), (2, 2, 30), (3, 2, 1), (4, 1, 5)] {
        queue.push(path(user, 0), Call { number, cost: 1.0, bytes, yields_from: None });
    }
    let (at, number) = queue.heaviest().unwrap();

    assert_eq!((path(2, 0), 3), (at, number));
}
