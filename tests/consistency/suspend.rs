//! A machine that can be suspended, for one process: preloaded, it takes from `CLOCK_MONOTONIC` the time that the file
//! named by `KITEWAY_SUSPENDED` says (eight bytes, nanoseconds, native order). `CLOCK_BOOTTIME` counts that time, as in Linux.

use std::ffi::{c_char, c_int, c_long, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

const CLOCK_MONOTONIC: c_int = 1;
const CLOCK_MONOTONIC_COARSE: c_int = 6;
const SYS_CLOCK_GETTIME: c_long = if cfg!(target_arch = "x86_64") { 228 } else { 113 };
const NANOS: i64 = 1_000_000_000;
const PROT_READ: c_int = 1;
const MAP_SHARED: c_int = 1;

#[repr(C)]
pub struct Timespec {
    seconds: i64,
    nanos: i64,
}

extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
    fn getenv(name: *const c_char) -> *const c_char;
    fn open(path: *const c_char, flags: c_int, ...) -> c_int;
    fn mmap(at: *mut c_void, length: usize, protection: c_int, flags: c_int, file: c_int, offset: i64) -> *mut c_void;
}

static SUSPENDED: AtomicPtr<AtomicU64> = AtomicPtr::new(null_mut());
static NEVER: AtomicU64 = AtomicU64::new(0);

/// Returns the nanoseconds for which the machine was suspended.
fn suspended() -> i64 {
    let mut known = SUSPENDED.load(Ordering::Relaxed);
    if known.is_null() {
        known = map();
        SUSPENDED.store(known, Ordering::Relaxed);
    }
    // SAFETY: it points to `NEVER` or to the mapped file, both of which are there until the process ends.
    unsafe { &*known }.load(Ordering::Relaxed) as i64
}

fn map() -> *mut AtomicU64 {
    let never = &raw const NEVER as *mut AtomicU64;
    // SAFETY: the names end with a zero, and a mapping of a page that the process never unmaps stays valid.
    unsafe {
        let path = getenv(c"KITEWAY_SUSPENDED".as_ptr());
        if path.is_null() {
            return never;
        }
        let file = open(path, 0);
        let found = mmap(null_mut(), 8, PROT_READ, MAP_SHARED, file, 0);
        if file < 0 || found as isize == -1 { never } else { found.cast() }
    }
}

/// Replaces the C library's.
///
/// # Safety
///
/// `out` must be valid for a write, as for the function of that name in POSIX.
#[no_mangle]
pub unsafe extern "C" fn clock_gettime(clock: c_int, out: *mut Timespec) -> c_int {
    // SAFETY: the caller gives a valid pointer.
    unsafe {
        if syscall(SYS_CLOCK_GETTIME, clock as c_long, out) != 0 {
            return -1;
        }
        if clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_COARSE {
            let all = (*out).seconds * NANOS + (*out).nanos - suspended();
            (*out).seconds = all / NANOS;
            (*out).nanos = all % NANOS;
        }
    }
    0
}
