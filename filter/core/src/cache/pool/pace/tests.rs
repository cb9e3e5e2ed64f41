//! Times of fills.

use super::*;

fn at(milliseconds: u64) -> BootTime {
    BootTime::from_nanos(milliseconds * 1_000_000)
}

/// Sends a fill at 0, which is answered after so many milliseconds.
fn answered(paces: &mut Paces, place: Place, took: u64) {
    let fill = paces.begin(place, at(0)).unwrap();
    paces.answered(fill, at(took));
}

#[test]
fn two_slow_fills_in_succession_rest_their_collection_for_5_s() {
    let mut paces = Paces::default();
    let (books, films) = (paces.place("", "books"), paces.place("", "films"));
    for took in [501, 500, 1001] {
        answered(&mut paces, books, took);
        assert!(!paces.is_slow(books, at(took)));
    }
    answered(&mut paces, books, 1001);

    assert!(paces.is_slow(books, at(6001)));
    assert!(!paces.is_slow(books, at(6002)));
    assert!(!paces.is_slow(films, at(1100)));
}

#[test]
fn a_collection_that_stays_slow_rests_longer_each_time() {
    let mut paces = Paces::default();
    let books = paces.place("", "books");
    let slow_at = |paces: &mut Paces, now: u64| {
        for _ in 0..ENOUGH {
            let fill = paces.begin(books, at(now - 501)).unwrap();
            paces.answered(fill, at(now));
        }
    };
    let mut now = 1000;
    for rest in [5, 10, 20, 30, 30] {
        slow_at(&mut paces, now);
        now += rest * 1000;
        assert!(paces.is_slow(books, at(now)), "{rest}");
        assert!(!paces.is_slow(books, at(now + 1)), "{rest}");
        now += 600;
    }
    // A good half minute later the first rest is short again.
    now += 30_000;
    slow_at(&mut paces, now);
    assert!(paces.is_slow(books, at(now + 5000)));
    assert!(!paces.is_slow(books, at(now + 5001)));
}

#[test]
fn after_a_rest_one_fill_is_sent_at_a_time_until_one_is_answered_in_time() {
    let mut paces = Paces::default();
    let books = paces.place("", "books");
    for _ in 0..ENOUGH {
        answered(&mut paces, books, 501);
    }
    assert!(!paces.is_slow(books, at(6000)));
    let trial = paces.begin(books, at(6000)).unwrap();
    assert!(paces.is_slow(books, at(6001)));
    paces.answered(trial, at(6501));
    assert!(paces.is_slow(books, at(16_501)));

    assert!(!paces.is_slow(books, at(16_502)));
    let trial = paces.begin(books, at(16_502)).unwrap();
    paces.answered(trial, at(16_600));
    paces.begin(books, at(16_600)).unwrap();
    assert!(!paces.is_slow(books, at(16_601)));
}

#[test]
fn fills_that_are_stuck_during_a_rest_do_not_make_the_next_one_longer() {
    let mut paces = Paces::default();
    let books = paces.place("", "books");
    let stuck = [0, 1].map(|_| paces.begin(books, at(0)).unwrap());
    for now in (1000..4000).step_by(100) {
        assert!(paces.is_slow(books, at(now)));
    }
    for fill in stuck {
        paces.forget(fill);
    }

    assert!(paces.is_slow(books, at(3900 + 5000)));
    assert!(!paces.is_slow(books, at(3900 + 5001)));
}

#[test]
fn fills_in_flight_are_slow_before_they_end() {
    let mut paces = Paces::default();
    let books = paces.place("", "books");
    paces.begin(books, at(0)).unwrap();
    assert!(!paces.is_slow(books, at(501)));
    paces.begin(books, at(0)).unwrap();

    assert!(!paces.is_slow(books, at(500)));
    assert!(paces.is_slow(books, at(501)));
}

#[test]
fn fills_on_which_clients_with_short_deadlines_give_up_are_slow() {
    let mut paces = Paces::default();
    let books = paces.place("", "books");
    for took in [101, 100, 101] {
        assert!(!paces.is_slow(books, at(0)));
        let fill = paces.begin(books, at(0)).unwrap();
        paces.abandoned(fill, at(took));
    }
    assert!(paces.is_slow(books, at(102)));
}

#[test]
fn one_client_that_gives_up_says_nothing() {
    let mut paces = Paces::default();
    let books = paces.place("", "books");
    for _ in 0..10 {
        let fill = paces.begin(books, at(0)).unwrap();
        paces.abandoned(fill, at(400));
        answered(&mut paces, books, 10);
        assert!(!paces.is_slow(books, at(401)));
    }
}

#[test]
fn what_is_usual_is_learned_from_reads_that_are_sent_unchanged() {
    let mut paces = Paces::default();
    let books = paces.place("", "books");
    paces.learn(books, Duration::from_millis(800), at(0));
    for _ in 0..10 {
        answered(&mut paces, books, 1299);
    }
    assert!(!paces.is_slow(books, at(1300)));
}

/// Sends a fill at 0, and again as its client sent it, which is answered so long after the fill is late.
fn overtaken(paces: &mut Paces, place: Place, later: i64) {
    let after = paces.hedge_after(place);
    let fill = paces.begin(place, at(0)).unwrap();
    let took = (after.as_millis() as i64 + later) as u64;
    paces.overtaken(fill, after, at(took));
}

#[test]
fn two_fills_in_succession_that_are_overtaken_rest_their_collection() {
    let mut paces = Paces::default();
    let books = paces.place("", "books");
    (0..100).for_each(|_| answered(&mut paces, books, 10));
    overtaken(&mut paces, books, 10);
    answered(&mut paces, books, 10);
    for _ in 0..2 {
        assert!(!paces.is_slow(books, at(200)));
        // An endpoint has failed before the fill was late: that says nothing.
        overtaken(&mut paces, books, -1);
        overtaken(&mut paces, books, 10);
    }
    assert!(paces.is_slow(books, at(200)));
    assert_eq!(Duration::from_millis(60), paces.hedge_after(books));
}

#[test]
fn on_trial_one_fill_that_is_overtaken_is_enough_for_another_rest() {
    let mut paces = Paces::default();
    let books = paces.place("", "books");
    (0..ENOUGH).for_each(|_| answered(&mut paces, books, 501));
    assert!(!paces.is_slow(books, at(6000)));
    let trial = paces.begin(books, at(6000)).unwrap();
    paces.overtaken(trial, Duration::from_millis(60), at(6070));
    assert!(paces.is_slow(books, at(16_070)));
}

#[test]
fn a_fill_is_late_by_what_the_times_of_its_collection_differ() {
    let mut paces = Paces::default();
    let [books, films] = ["books", "films"].map(|name| paces.place("", name));
    assert_eq!(SLOW, paces.hedge_after(books));
    for turn in 0..100 {
        answered(&mut paces, books, 10);
        answered(&mut paces, films, [10, 110][turn % 2]);
    }
    assert_eq!(Duration::from_millis(60), paces.hedge_after(books));
    for _ in 0..100 {
        paces.begin(books, at(0)).unwrap();
    }
    assert_eq!(Duration::from_millis(60 + 100 * 10 / 2), paces.hedge_after(books));
    let late = paces.hedge_after(films);
    assert!(Duration::from_millis(200) < late && late < SLOW, "{late:?}");
}

#[test]
fn the_number_of_collections_is_bounded() {
    let mut paces = Paces::default();
    for number in 0..3 * MOST {
        let place = paces.place("", &number.to_string());
        answered(&mut paces, place, 1);
    }
    assert!(paces.by_collection.len() <= MOST);
    for number in 0..2 * MOST {
        let place = paces.place("stuck", &number.to_string());
        paces.begin(place, at(0));
    }
    assert!(paces.by_collection.len() <= MOST);
}
