//! Answers that are stored, with a queue that a scan does not empty: S3-FIFO (Yang, Zhang, Qiu, Yue and Rashmi, SOSP 2023).
//!
//! A new answer is in the small queue, which has about a tenth of the bytes. Those that were used there go on to the main
//! queue, where they stay while they are used; all others go. The ghosts of the paper are missing: where memory is full,
//! `doorkeeper` keeps out what comes once.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::cache::question::glance::Asker;
use crate::cache::question::keyed_hash::DigestMap;
use crate::cache::reason::Reason;
use crate::host::clock::BootTime;

/// What an entry takes beside its answer: its key in the table and in a queue, the entry, both half empty, and what the
/// allocator adds.
const OVERHEAD: u64 = 512;
/// The small queue has one part of this many.
const SMALL: u64 = 10;
/// Uses are counted up to here.
const MOST_USES: u8 = 3;
/// An entry in the small queue that was used so often goes on to the main queue. A scan may ask everything twice.
const GOES_ON: u8 = 2;

/// A question at a pool. Answers to Eventually reads serve only those.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryKey {
    pub digest: [u8; 32],
    pub is_eventual: bool,
}

/// What an answer has: every write acknowledged before `sent`, and every one up to the timestamp `upto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    pub sent: BootTime,
    /// 0 for Eventually reads: nothing is known.
    pub upto: u64,
}

#[derive(Clone, Debug)]
pub struct Entry {
    pub label: Label,
    /// The pool's generation when the read was sent.
    pub generation: u64,
    /// From this time on no read may be answered with it.
    pub expires: BootTime,
    /// Err: why the answer could not be stored, so that the same read does not wait for it again.
    pub answer: Result<Arc<[u8]>, Reason>,
    /// The asker, if the question was new and has not been repeated.
    pub new: Option<Asker>,
}

/// What is stored under a key.
pub enum Found<'entries> {
    Usable(&'entries mut Entry),
    Unusable(&'entries Entry),
    Nothing,
}

#[derive(Debug, Default)]
pub struct Entries {
    by_key: DigestMap<EntryKey, Stored>,
    small: Queue,
    main: Queue,
}

#[derive(Debug)]
struct Stored {
    entry: Entry,
    uses: u8,
    is_main: bool,
}

/// Each stored key is in one queue, once.
#[derive(Debug, Default)]
struct Queue {
    keys: VecDeque<EntryKey>,
    bytes: u64,
}

impl Entry {
    /// The bytes of memory that it takes.
    pub fn size(&self) -> u64 {
        OVERHEAD + self.answer.as_ref().map_or(0, |answer| answer.len() as u64)
    }
}

impl Entries {
    /// The entry with a key, which counts as used if it may be.
    pub fn find(&mut self, key: &EntryKey, may: impl Fn(&Entry) -> bool) -> Found<'_> {
        match self.by_key.get_mut(key) {
            None => Found::Nothing,
            Some(stored) if may(&stored.entry) => {
                stored.uses = MOST_USES.min(stored.uses + 1);
                Found::Usable(&mut stored.entry)
            }
            Some(stored) => Found::Unusable(&stored.entry),
        }
    }

    /// The entry with a key, which does not count as used.
    pub fn get(&self, key: &EntryKey) -> Option<&Entry> {
        self.by_key.get(key).map(|stored| &stored.entry)
    }

    /// Puts an entry in, in the place of the one with the same key, whose size it returns, or 0.
    pub fn put(&mut self, key: EntryKey, entry: Entry) -> u64 {
        let size = entry.size();
        if let Some(stored) = self.by_key.get_mut(&key) {
            let freed = stored.entry.size();
            stored.entry = entry;
            let queue = if stored.is_main { &mut self.main } else { &mut self.small };
            queue.bytes = queue.bytes - freed + size;
            return freed;
        }
        self.by_key.insert(key, Stored { entry, uses: 0, is_main: false });
        self.small.push(key, size);
        0
    }

    /// Removes the entry that is needed least, and returns its size; None if there is none.
    pub fn evict(&mut self, is_useful: impl Fn(&Entry) -> bool) -> Option<u64> {
        loop {
            let all = self.small.bytes + self.main.bytes;
            let is_small = self.main.keys.is_empty() || self.small.bytes * SMALL > all;
            let queue = if is_small { &mut self.small } else { &mut self.main };
            let key = queue.keys.pop_front()?;
            let Some(stored) = self.by_key.get_mut(&key) else { continue };
            let size = stored.entry.size();
            queue.bytes -= size;
            let stays = stored.uses >= if is_small { GOES_ON } else { 1 };
            if stays && is_useful(&stored.entry) {
                stored.uses = if is_small { 0 } else { stored.uses - 1 };
                stored.is_main = true;
                self.main.push(key, size);
                continue;
            }
            self.by_key.remove(&key);
            return Some(size);
        }
    }

    /// Removes the oldest entries of both queues if they are not useful any more, and returns their size.
    pub fn sweep(&mut self, is_useful: impl Fn(&Entry) -> bool) -> u64 {
        let mut freed = 0;
        for queue in [&mut self.small, &mut self.main] {
            let Some(key) = queue.keys.front() else { continue };
            let Some(stored) = self.by_key.get(key) else { continue };
            if !is_useful(&stored.entry) {
                let size = stored.entry.size();
                self.by_key.remove(key);
                queue.keys.pop_front();
                queue.bytes -= size;
                freed += size;
            }
        }
        freed
    }

    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Removes everything, and returns its size.
    #[cfg(test)]
    pub fn clear(&mut self) -> u64 {
        let freed = self.small.bytes + self.main.bytes;
        *self = Self::default();
        freed
    }
}

impl Queue {
    fn push(&mut self, key: EntryKey, size: u64) {
        self.keys.push_back(key);
        self.bytes += size;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u64) -> EntryKey {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&number.to_le_bytes());
        EntryKey { digest, is_eventual: false }
    }

    fn entry(length: usize) -> Entry {
        let sent = BootTime::from_nanos(0);
        Entry {
            label: Label { sent, upto: 0 },
            generation: 0,
            expires: sent,
            answer: Ok(vec![0; length].into()),
            new: None,
        }
    }

    fn is_stored(entries: &mut Entries, key: EntryKey) -> bool {
        matches!(entries.find(&key, |_| true), Found::Usable(_))
    }

    #[test]
    fn bytes_are_counted_whatever_happens() {
        let mut entries = Entries::default();
        let mut used = 0;
        for number in 0..10_000_u64 {
            let entry = entry((number * 7 % 1000) as usize);
            used += entry.size();
            used -= entries.put(key(number * 31 % 300), entry);
            if number % 3 == 0 {
                entries.find(&key(number % 300), |_| true);
            }
            if number % 5 == 0 {
                used -= entries.evict(|_| number % 2 == 0).unwrap_or(0);
            }
            if number % 7 == 0 {
                used -= entries.sweep(|_| number % 4 == 0);
            }
            let stored: u64 = entries.by_key.values().map(|stored| stored.entry.size()).sum();
            assert_eq!(used, stored);
            assert_eq!(used, entries.small.bytes + entries.main.bytes);
            assert_eq!(entries.len(), entries.small.keys.len() + entries.main.keys.len());
        }
        assert_eq!(used, entries.clear());
        assert_eq!(None, entries.evict(|_| true));
    }

    #[test]
    fn a_scan_does_not_push_out_what_is_used() {
        let mut entries = Entries::default();
        let (most, mut used) = (1000 * entry(100).size(), 0);
        let mut missed = 0;
        for number in 0..100_000 {
            let hot = key(number % 100);
            if !is_stored(&mut entries, hot) {
                missed += 1;
                used += entry(100).size() - entries.put(hot, entry(100));
            }
            // Each of these is asked for three times: stored, hit, hit.
            let cold = key(1000 + number / 3);
            if !is_stored(&mut entries, cold) {
                used += entry(100).size() - entries.put(cold, entry(100));
            }
            while used > most {
                used -= entries.evict(|_| true).unwrap();
            }
        }
        // Each hot one is missed once, and some twice, before they have been used often enough.
        assert!((100..110).contains(&missed), "{missed}");
    }

    #[test]
    fn what_nobody_needs_goes_however_often_it_was_used() {
        let mut entries = Entries::default();
        entries.put(key(1), entry(1));
        (0..3).for_each(|_| assert!(is_stored(&mut entries, key(1))));

        assert_eq!(Some(entry(1).size()), entries.evict(|_| false));
        assert_eq!(0, entries.len());
    }
}
