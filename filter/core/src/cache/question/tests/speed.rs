//! How long a key takes: `cargo test --release how_long -- --ignored --nocapture`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::cache::question::headers::Header;
use crate::cache::question::read;
use crate::cache::question::sha256::Sha256;
use crate::cache::question::tests::corpus::CORPUS;
use crate::wire::encode::delimited;

/// The shortest time of one call, in ns: the machine may be busy.
fn shortest(mut call: impl FnMut()) -> u128 {
    let batch = |call: &mut dyn FnMut()| {
        let begin = Instant::now();
        (0..100).for_each(|_| call());
        begin.elapsed() / 100
    };
    (0..2_000).map(|_| batch(&mut call)).min().unwrap_or(Duration::ZERO).as_nanos()
}

#[test]
#[ignore = "a measurement"]
fn how_long_a_key_takes() {
    let question = &CORPUS.questions[0];
    // The vector of 128 floats is the last of two, so it counts.
    let vector = delimited(6, &[7; 540]);
    let message = [&question.message[..], &vector].concat();
    let mut copy = vec![0; message.len()];

    let headers: Vec<Header> =
        question.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();

    let key = shortest(|| {
        let _ = black_box(read(question.method, &headers, black_box(&message)));
    });
    let hash = shortest(|| {
        let mut hash = Sha256::new();
        hash.push(black_box(&message));
        black_box(hash.finish());
    });
    let memcpy = shortest(|| {
        copy.copy_from_slice(black_box(&message));
        black_box(&copy);
    });
    println!("{} bytes: key {key} ns, SHA-256 {hash} ns, memcpy {memcpy} ns", message.len());
}
