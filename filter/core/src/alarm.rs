//! One thread of the process, which looks after calls that have waited too long. Envoy has no timer for a filter.

use std::sync::{Condvar, LazyLock, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Instant;

/// What has to be done at a time.
pub trait Alarmed: Send + Sync {
    /// Does what is due, and says when something else will be.
    fn ring(&self, now: Instant) -> Option<Instant>;
}

#[derive(Default)]
struct Clock {
    alarmed: Vec<Weak<dyn Alarmed>>,
    next: Option<Instant>,
    runs: bool,
}

static CLOCK: LazyLock<Mutex<Clock>> = LazyLock::new(Mutex::default);
static CHANGED: Condvar = Condvar::new();

fn with<T>(change: impl FnOnce(&mut Clock) -> T) -> T {
    change(&mut CLOCK.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Has `alarmed` ring from now on, for as long as it exists.
pub fn watch(alarmed: Weak<dyn Alarmed>) {
    with(|clock| {
        clock.alarmed.retain(|each| each.strong_count() > 0);
        clock.alarmed.push(alarmed);
    });
}

/// Makes sure that everything watched rings at `at`, or says that it is impossible.
pub fn set(at: Instant) -> bool {
    with(|clock| {
        if !clock.runs {
            let thread = thread::Builder::new().name("kiteway".to_owned());
            clock.runs = thread.spawn(run).is_ok();
        }
        if clock.next.is_none_or(|next| at < next) {
            clock.next = Some(at);
            CHANGED.notify_one();
        }
        clock.runs
    })
}

fn run() {
    let mut clock = CLOCK.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let now = Instant::now();
        clock = match clock.next {
            None => CHANGED.wait(clock).unwrap_or_else(PoisonError::into_inner),
            Some(next) if next > now => {
                let waited = CHANGED.wait_timeout(clock, next - now);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            Some(_) => {
                // Who is alarmed may set the clock meanwhile.
                clock.next = None;
                let alarmed: Vec<_> = clock.alarmed.iter().filter_map(Weak::upgrade).collect();
                drop(clock);
                let next = alarmed.iter().filter_map(|each| each.ring(now)).min();
                let mut clock = CLOCK.lock().unwrap_or_else(PoisonError::into_inner);
                clock.next = [clock.next, next].into_iter().flatten().min();
                clock
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{mpsc, Arc};
    use std::time::Duration;

    use super::*;

    struct Once(Mutex<mpsc::Sender<Instant>>, Instant);

    impl Alarmed for Once {
        fn ring(&self, now: Instant) -> Option<Instant> {
            if now < self.1 {
                return Some(self.1);
            }
            let _ = self.0.lock().unwrap().send(now);
            None
        }
    }

    #[test]
    fn each_rings_in_time_and_not_before() {
        let now = Instant::now();
        let (sender, rang) = mpsc::channel();
        let each: Vec<Arc<Once>> = [60, 20, 40]
            .map(|wait| {
                Arc::new(Once(Mutex::new(sender.clone()), now + Duration::from_millis(wait)))
            })
            .into();
        for once in &each {
            let once: Arc<dyn Alarmed> = Arc::clone(once) as _;
            watch(Arc::downgrade(&once));
        }
        for once in &each {
            assert!(set(once.1));
        }
        drop(sender);
        for _ in 0..3 {
            let at = rang.recv_timeout(Duration::from_secs(10)).unwrap();
            assert!(at >= now + Duration::from_millis(20));
        }
    }
}
