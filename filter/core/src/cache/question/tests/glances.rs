//! Whether a look at a question tells it from others, with PyMilvus's requests.

use crate::cache::question::glance::{glance, Credentials, Glance};
use crate::cache::question::method::Method;
use crate::cache::question::tests::corpus::{Headers, CORPUS};

fn of(method: Method, headers: &Headers, message: &[u8]) -> Option<Glance> {
    let found = headers.iter().find(|(name, _)| name == "authorization");
    glance(method, Credentials::of(found.map(|(_, value)| value.as_bytes())), message)
}

#[test]
fn equal_questions_look_alike_and_most_others_do_not() {
    let (mut alike, mut unlike) = (0, 0);
    for question in &CORPUS.questions {
        let base = of(question.method, &question.headers, &question.message).unwrap();
        for variant in &question.variants {
            let seen = of(question.method, &variant.headers, &variant.message);
            match &*variant.outcome {
                "same" if seen == Some(base) => alike += 1,
                "same" => panic!("{}: {}", question.name, variant.what),
                "other" if seen.is_some_and(|seen| seen.question != base.question) => {
                    unlike += 1;
                }
                _ => {}
            }
        }
    }
    assert!(alike > 20 && unlike > 20, "{alike} {unlike}");
}
