use super::*;

fn requests(per_second: f64) -> Most {
    let rate = Rate::new(per_second, Duration::ZERO);
    Most { rates: [Some(rate), None, None], in_flight: None }
}

fn in_flight(most: u64) -> Most {
    Most { in_flight: Some(most), ..Most::default() }
}

#[test]
fn each_name_has_the_whole_limit_within_five_percent() {
    let (counts, began) = (Arc::<Counts>::default(), Instant::now());
    let most = Most {
        rates: [Some(Rate::new(50.0, Duration::from_secs(1))), None, None],
        ..requests(1.0)
    };
    // 500 clients of five users; "under" sends 40 a second, the others 2,000.
    let (mut passed, mut refused_under) = ([0_u32; 5], 0);
    for millisecond in 0..60_000_u64 {
        let now = began + Duration::from_millis(millisecond);
        for (user, passed) in passed.iter_mut().enumerate() {
            let calls = if user == 0 { u32::from(millisecond % 25 == 0) } else { 2 };
            for _ in 0..calls {
                match counts.enter(Key::of(user), true, most, now) {
                    Ok(_) => *passed += 1,
                    Err(_) if user == 0 => refused_under += 1,
                    Err(_) => {}
                }
            }
        }
    }

    assert_eq!((2400, 0), (passed[0], refused_under));
    for passed in &passed[1..] {
        assert!((3000..=3150).contains(passed), "{passed}");
    }
}

#[test]
fn a_call_is_in_flight_until_it_lands_and_is_released_once() {
    let (counts, now) = (Arc::<Counts>::default(), Instant::now());
    let enter = || counts.enter(Key::of("a"), true, in_flight(2), now);
    let (mut first, second) = (enter().unwrap(), enter().unwrap());
    assert_eq!(Resource::InFlight, enter().unwrap_err().resource);

    first.land();
    first.land();
    first.give_back();
    drop(first);

    let third = enter().unwrap();
    assert!(enter().is_err());
    drop((second, third));
    assert_eq!(2, [enter(), enter(), enter()].iter().filter(|each| each.is_ok()).count());
}

#[test]
fn a_debt_is_paid_before_the_next_call() {
    let (counts, now) = (Arc::<Counts>::default(), Instant::now());
    let rate = Rate::new(1000.0, Duration::from_secs(1));
    let most = Most { rates: [None, Some(rate), None], in_flight: None };
    let mut ticket = counts.enter(Key::of("a"), true, most, now).unwrap();
    ticket.charge(Resource::Rows, 5000.0);

    let excess = counts.enter(Key::of("a"), true, most, now).unwrap_err();
    assert_eq!((Resource::Rows, 4), (excess.resource, excess.after.as_secs()));
    assert!(counts.enter(Key::of("b"), true, most, now).is_ok());
    assert!(counts.enter(Key::of("a"), true, most, now + Duration::from_secs(5)).is_ok());
}

#[test]
fn what_is_given_back_was_never_used() {
    let (counts, now) = (Arc::<Counts>::default(), Instant::now());
    for _ in 0..100 {
        let mut ticket = counts.enter(Key::of("a"), true, requests(1.0), now).unwrap();
        assert!(counts.enter(Key::of("a"), true, requests(1.0), now).is_err());
        ticket.give_back();
    }
}

#[test]
fn a_million_strange_names_are_bounded_and_leave_known_ones_alone() {
    let (counts, now) = (Arc::<Counts>::default(), Instant::now());
    let most = requests(10.0);
    let mut passed = 0;
    for number in 0..1_000_000_u32 {
        passed += u32::from(counts.enter(Key::of(number), false, most, now).is_ok());
    }
    let places: usize = counts.shards.iter().map(|shard| shard.lock().unwrap().used.len()).sum();

    assert_eq!(SHARDS * MAX_STRANGERS, places);
    assert!(passed as usize <= places + SHARDS, "{passed}");
    assert!(counts.enter(Key::of("known"), true, most, now).is_ok());
    // Once they have been idle, the strangers' places are free.
    let later = now + Duration::from_secs(1);
    assert!(counts.enter(Key::of("new"), false, most, later).is_ok());
    let places: usize = counts.shards.iter().map(|shard| shard.lock().unwrap().used.len()).sum();
    assert!(places < SHARDS * MAX_STRANGERS, "{places}");
}

#[test]
fn a_stranger_that_becomes_known_keeps_what_it_has_used() {
    let (counts, now) = (Arc::<Counts>::default(), Instant::now());
    let most = in_flight(1);
    let ticket = counts.enter(Key::of("a"), false, most, now).unwrap();
    assert!(counts.enter(Key::of("a"), true, most, now).is_err());
    drop(ticket);
    assert!(counts.enter(Key::of("a"), true, most, now).is_ok());
    let strangers: usize = counts.shards.iter().map(|shard| shard.lock().unwrap().strangers).sum();
    assert_eq!(0, strangers);
}

#[test]
fn a_name_with_a_call_in_flight_is_not_forgotten() {
    let (counts, now) = (Arc::<Counts>::default(), Instant::now());
    let most = in_flight(1);
    let _ticket = counts.enter(Key::of("a"), false, most, now).unwrap();
    for number in 0..100_000_u32 {
        let _ =
            counts.enter(Key::of(number), false, most, now + Duration::from_secs(number.into()));
    }
    assert!(counts.enter(Key::of("a"), false, most, now).is_err());
}

#[test]
fn threads_together_get_the_limit() {
    let (counts, now) = (Arc::<Counts>::default(), Instant::now());
    let most = Most {
        rates: [Some(Rate::new(1000.0, Duration::from_secs(1))), None, None],
        ..in_flight(4000)
    };
    let passed: usize = std::thread::scope(|scope| {
        let count =
            || (0..1000).filter(|_| counts.enter(Key::of("a"), true, most, now).is_ok()).count();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(count)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });

    assert_eq!(1000, passed);
}
