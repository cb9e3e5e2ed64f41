//! The system's clock that counts while the machine is suspended. Rust's standard library does not have it.

use std::ffi::c_long;

use kiteway_filter_core::host::clock::BootTime;
use kiteway_filter_core::planted;

/// `struct timespec` of 64-bit Linux.
#[repr(C)]
struct TimeSpec {
    seconds: c_long,
    nanoseconds: c_long,
}

unsafe extern "C" {
    fn clock_gettime(clock: i32, time: *mut TimeSpec) -> i32;
}

/// `CLOCK_MONOTONIC` and `CLOCK_BOOTTIME` of Linux.
const MONOTONIC: i32 = 1;
const BOOT_TIME: i32 = 7;

/// The time since the machine started.
pub fn boot_time() -> BootTime {
    let clock = if planted::clock_without_suspend() { MONOTONIC } else { BOOT_TIME };
    let mut time = TimeSpec { seconds: 0, nanoseconds: 0 };
    // SAFETY: the system writes one `timespec`. Linux knows these clocks since 2.6.39, so the call cannot fail.
    unsafe { clock_gettime(clock, &mut time) };
    let (seconds, nanoseconds) = (time.seconds.unsigned_abs(), time.nanoseconds.unsigned_abs());
    BootTime::from_nanos(seconds.wrapping_mul(1_000_000_000).wrapping_add(nanoseconds))
}
