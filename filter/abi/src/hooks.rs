//! The event hooks Envoy calls. Every hook that is mandatory for an HTTP filter is here; Envoy
//! refuses a module that lacks one.
//!
//! No panic leaves a hook: it is caught, logged, and the stream goes on as if the filter were not
//! there.

use std::any::Any;
use std::ffi::{c_char, c_void};
use std::panic::{self, AssertUnwindSafe};
use std::{ptr, slice};

use kiteway_filter_core::host::own_call::OwnCallId;
use kiteway_filter_core::host::{Action, Verdict};
use kiteway_filter_core::{Config, Factory, Filter, RouteConfig};

use crate::buffers::{EnvoyBuffer, EnvoyHeader};
use crate::callbacks::log_error;
use crate::registry::EnvoyConfig;
use crate::sha256;
use crate::stream::{starts_call, EnvoyStream};

/// The ABI the declarations were written from. Envoy logs a difference and loads the module.
const ABI_VERSION: &std::ffi::CStr = c"v0.2.0";

/// `Continue` of every status enum.
const CONTINUE: u32 = 0;
/// Of the headers' status enum: the body still comes to the hook.
const STOP_ITERATION: u32 = 1;
/// Of the body's status enum.
const STOP_ITERATION_AND_BUFFER: u32 = 1;
/// Of the body's status enum: Envoy reads no more of the stream where its buffer is full, in place of an error.
const STOP_ITERATION_AND_WATERMARK: u32 = 2;
/// Of the body's status enum.
const STOP_ITERATION_NO_BUFFER: u32 = 3;

/// `Success` of the results of a callout.
const CALLOUT_SUCCESS: u32 = 0;
/// The longest answer to a callout that is read, in bytes.
const MAX_CALLOUT_ANSWER: usize = 1 << 20;

/// Runs a hook's body; a panic is logged and answered with `default`.
fn guard<T>(default: T, body: impl FnOnce() -> T) -> T {
    panic::catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|cause| {
        log_error(&format!("kiteway filter: panic: {}", panic_message(&*cause)));
        default
    })
}

fn panic_message(cause: &(dyn Any + Send)) -> &str {
    let text = cause.downcast_ref::<&str>().copied();
    text.or_else(|| cause.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// Runs `body` with the filter of a stream.
///
/// # Safety
/// `filter` must come from `on_http_filter_new` and not have been destroyed. Envoy runs all hooks
/// of a stream on one thread, one at a time, so nothing else uses it meanwhile.
unsafe fn with_filter<T>(
    default: T,
    filter: *const c_void,
    body: impl FnOnce(&mut Filter<'_>) -> T,
) -> T {
    guard(default, || {
        // SAFETY: the caller vouches for the pointer and for being alone.
        body(unsafe { &mut *filter.cast_mut().cast::<Filter<'_>>() })
    })
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_program_init() -> *const c_char {
    guard((), sha256::use_processor);
    ABI_VERSION.as_ptr()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_config_new(
    config_envoy: *mut c_void,
    _name: EnvoyBuffer,
    config: EnvoyBuffer,
) -> *const c_void {
    guard(ptr::null(), || {
        // SAFETY: Envoy keeps the configuration's bytes until this hook returns.
        let json = unsafe { config.as_slice() };
        let factory = Config::parse(json)
            .and_then(|config| Factory::new(config, &mut EnvoyConfig(config_envoy)));
        match factory {
            Ok(factory) => Box::into_raw(Box::new(factory)).cast_const().cast(),
            Err(error) => {
                log_error(&format!("kiteway filter: filter_config: {error}"));
                ptr::null()
            }
        }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_config_destroy(factory: *const c_void) {
    guard((), || {
        // SAFETY: Envoy gives back, once, what `config_new` made.
        drop(unsafe { Box::from_raw(factory.cast_mut().cast::<Factory>()) });
    });
}

/// A list of Envoy's, which may be null if it is empty.
///
/// # Safety
/// `first` must be null or that of `length` values that stay as they are for as long as `'a`.
unsafe fn lent<'a, T>(first: *const T, length: usize) -> &'a [T] {
    if first.is_null() {
        return &[];
    }
    // SAFETY: not null, and the caller vouches for the rest.
    unsafe { slice::from_raw_parts(first, length) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_per_route_config_new(
    _name: EnvoyBuffer,
    config: EnvoyBuffer,
) -> *const c_void {
    guard(ptr::null(), || {
        // SAFETY: Envoy keeps the configuration's bytes until this hook returns.
        match RouteConfig::parse(unsafe { config.as_slice() }) {
            Ok(config) => Box::into_raw(Box::new(config)).cast_const().cast(),
            Err(error) => {
                log_error(&format!("kiteway filter: route configuration: {error}"));
                ptr::null()
            }
        }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_per_route_config_destroy(
    config: *const c_void,
) {
    guard((), || {
        // SAFETY: Envoy gives back, once, what `per_route_config_new` made.
        drop(unsafe { Box::from_raw(config.cast_mut().cast::<RouteConfig>()) });
    });
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_new(
    factory: *const c_void,
    _filter_envoy: *mut c_void,
) -> *const c_void {
    guard(ptr::null(), || {
        // SAFETY: the pointer comes from `config_new`; Envoy's filter keeps its configuration until it has
        // destroyed ours, which borrows it, and the configuration is only ever read.
        let factory = unsafe { &*factory.cast::<Factory>() };
        Box::into_raw(Box::new(factory.stream_filter())).cast_const().cast()
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_destroy(filter: *const c_void) {
    guard((), || {
        // SAFETY: Envoy gives back, once, what `filter_new` made.
        drop(unsafe { Box::from_raw(filter.cast_mut().cast::<Filter<'_>>()) });
    });
}

/// Sends the local reply, if that is the verdict of a hook: only now that the hook borrows the stream's filter no longer.
/// Returns what Envoy is told for a request that goes on, for one that is held, and for one that has been answered.
fn carry_out(filter_envoy: *mut c_void, verdict: Verdict, [hold, answered]: [u32; 2]) -> u32 {
    match verdict {
        Verdict::Continue => CONTINUE,
        Verdict::Hold => hold,
        Verdict::Reply(reply) => {
            guard((), || EnvoyStream::new(filter_envoy).send_local_reply(&reply));
            answered
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_request_headers(
    filter_envoy: *mut c_void,
    filter: *const c_void,
    end_of_stream: bool,
) -> u32 {
    // SAFETY: Envoy passes a live filter of ours.
    let verdict = unsafe {
        with_filter(Verdict::Continue, filter, |filter| {
            filter.on_request_headers(&mut EnvoyStream::new(filter_envoy), end_of_stream)
        })
    };
    carry_out(filter_envoy, verdict, [STOP_ITERATION; 2])
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_request_body(
    filter_envoy: *mut c_void,
    filter: *const c_void,
    end_of_stream: bool,
) -> u32 {
    // SAFETY: Envoy passes a live filter of ours.
    let verdict = unsafe {
        with_filter(Verdict::Continue, filter, |filter| {
            filter.on_request_body(&mut EnvoyStream::new(filter_envoy), end_of_stream)
        })
    };
    carry_out(filter_envoy, verdict, [STOP_ITERATION_AND_WATERMARK, STOP_ITERATION_NO_BUFFER])
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_request_trailers(
    filter_envoy: *mut c_void,
    filter: *const c_void,
) -> u32 {
    // SAFETY: Envoy passes a live filter of ours.
    let verdict = unsafe {
        with_filter(Verdict::Continue, filter, |filter| {
            filter.on_request_trailers(&mut EnvoyStream::new(filter_envoy))
        })
    };
    carry_out(filter_envoy, verdict, [STOP_ITERATION; 2])
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_scheduled(
    filter_envoy: *mut c_void,
    filter: *const c_void,
    _event_id: u64,
) {
    // SAFETY: Envoy passes a live filter of ours.
    let verdict = unsafe {
        with_filter(Verdict::Continue, filter, |filter| {
            filter.on_wake(&mut EnvoyStream::new(filter_envoy))
        })
    };
    resume(filter_envoy, verdict);
}

/// Carries out the verdict of a hook that is about no part of the request: it is held.
fn resume(filter_envoy: *mut c_void, verdict: Verdict) {
    if verdict == Verdict::Continue {
        guard((), || EnvoyStream::new(filter_envoy).continue_request());
    } else {
        carry_out(filter_envoy, verdict, [CONTINUE; 2]);
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_http_callout_done(
    filter_envoy: *mut c_void,
    filter: *const c_void,
    id: u64,
    result: u32,
    headers: *const EnvoyHeader,
    headers_length: usize,
    body: *const EnvoyBuffer,
    body_length: usize,
) {
    if starts_call() {
        // The call has ended before it has begun, and `start_call` says so.
        return;
    }
    // SAFETY: headers and pieces of the body are as many as Envoy says, and stay until the hook returns.
    let answer = guard(None, || unsafe {
        callout_answer(result, lent(headers, headers_length), lent(body, body_length))
    });
    // SAFETY: Envoy passes a live filter of ours.
    let verdict = unsafe {
        with_filter(Verdict::Continue, filter, |filter| {
            filter.on_own_call_done(
                &mut EnvoyStream::new(filter_envoy),
                OwnCallId(id),
                answer.as_deref(),
            )
        })
    };
    resume(filter_envoy, verdict);
}

/// The body of the answer to a call of the filter's own; None: it has failed, or has no message.
///
/// # Safety
/// Headers and pieces of the body must stay as they are while this runs.
unsafe fn callout_answer(
    result: u32,
    headers: &[EnvoyHeader],
    body: &[EnvoyBuffer],
) -> Option<Vec<u8>> {
    // SAFETY: the caller vouches for the bytes.
    let bytes = |buffer: EnvoyBuffer| unsafe { buffer.as_slice() };
    let value = |name: &[u8]| {
        headers.iter().find(|each| bytes(each.name) == name).map(|each| bytes(each.value))
    };
    let is_answer = result == CALLOUT_SUCCESS
        && value(b":status") == Some(b"200")
        && value(b"grpc-status").is_none();
    let length: usize = body.iter().map(|piece| bytes(*piece).len()).sum();
    let pieces = || body.iter().map(|piece| bytes(*piece)).collect::<Vec<_>>().concat();
    (is_answer && length <= MAX_CALLOUT_ANSWER).then(pieces)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_stream_complete(
    filter_envoy: *mut c_void,
    filter: *const c_void,
) {
    // SAFETY: Envoy passes a live filter of ours.
    unsafe {
        with_filter((), filter, |filter| {
            filter.on_stream_complete(&mut EnvoyStream::new(filter_envoy));
        });
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_response_headers(
    filter_envoy: *mut c_void,
    filter: *const c_void,
    end_of_stream: bool,
) -> u32 {
    // SAFETY: Envoy passes a live filter of ours.
    let action = unsafe {
        with_filter(Action::Continue, filter, |filter| {
            filter.on_response_headers(&mut EnvoyStream::new(filter_envoy), end_of_stream)
        })
    };
    match action {
        Action::Continue => CONTINUE,
        Action::Hold => STOP_ITERATION,
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_response_body(
    filter_envoy: *mut c_void,
    filter: *const c_void,
    end_of_stream: bool,
) -> u32 {
    // SAFETY: Envoy passes a live filter of ours.
    let action = unsafe {
        with_filter(Action::Continue, filter, |filter| {
            filter.on_response_body(&mut EnvoyStream::new(filter_envoy), end_of_stream)
        })
    };
    match action {
        Action::Continue => CONTINUE,
        Action::Hold => STOP_ITERATION_AND_BUFFER,
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_response_trailers(
    filter_envoy: *mut c_void,
    filter: *const c_void,
) -> u32 {
    // SAFETY: Envoy passes a live filter of ours.
    unsafe {
        with_filter((), filter, |filter| {
            filter.on_response_trailers(&mut EnvoyStream::new(filter_envoy));
        });
    }
    CONTINUE
}

/// Exports hooks that are mandatory though nothing here causes them: the filter starts no streams, and is not terminal.
macro_rules! unused_hooks {
    ($($name:ident($($argument:ty),*);)*) => {
        $(
            #[unsafe(no_mangle)]
            extern "C" fn $name($(_: $argument),*) {}
        )*
    };
}

unused_hooks! {
    envoy_dynamic_module_on_http_filter_http_stream_headers(
        *mut c_void, *const c_void, u64, *mut c_void, usize, bool
    );
    envoy_dynamic_module_on_http_filter_http_stream_data(
        *mut c_void, *const c_void, u64, *const EnvoyBuffer, usize, bool
    );
    envoy_dynamic_module_on_http_filter_http_stream_trailers(
        *mut c_void, *const c_void, u64, *mut c_void, usize
    );
    envoy_dynamic_module_on_http_filter_http_stream_complete(*mut c_void, *const c_void, u64);
    envoy_dynamic_module_on_http_filter_http_stream_reset(*mut c_void, *const c_void, u64, u32);
    envoy_dynamic_module_on_http_filter_downstream_above_write_buffer_high_watermark(
        *mut c_void, *const c_void
    );
    envoy_dynamic_module_on_http_filter_downstream_below_write_buffer_low_watermark(
        *mut c_void, *const c_void
    );
}
