//! Bytes and headers as they cross the ABI.

use std::{ptr, slice};

/// Bytes that Envoy owns, valid until the hook returns or a setter is called.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct EnvoyBuffer {
    ptr: *const u8,
    length: usize,
}

impl EnvoyBuffer {
    pub const EMPTY: Self = Self { ptr: ptr::null(), length: 0 };

    /// # Safety
    /// The buffer must come from Envoy, and `'a` must end before Envoy may free or change it.
    pub unsafe fn as_slice<'a>(self) -> &'a [u8] {
        if self.ptr.is_null() {
            return &[];
        }
        // SAFETY: not null, and the caller vouches for the rest.
        unsafe { slice::from_raw_parts(self.ptr, self.length) }
    }
}

/// A header that Envoy owns, as `EnvoyBuffer`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct EnvoyHeader {
    pub name: EnvoyBuffer,
    pub value: EnvoyBuffer,
}

impl EnvoyHeader {
    pub const EMPTY: Self = Self { name: EnvoyBuffer::EMPTY, value: EnvoyBuffer::EMPTY };
}

/// Bytes that the module owns, lent for the time of a call.
#[repr(C)]
pub struct ModuleBuffer {
    ptr: *const u8,
    length: usize,
}

impl ModuleBuffer {
    /// The value that removes a header.
    pub const NULL: Self = Self { ptr: ptr::null(), length: 0 };
}

impl From<&[u8]> for ModuleBuffer {
    fn from(bytes: &[u8]) -> Self {
        Self { ptr: bytes.as_ptr(), length: bytes.len() }
    }
}

impl From<&str> for ModuleBuffer {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

/// A header that the module owns, lent for the time of a call.
#[repr(C)]
pub struct ModuleHeader {
    name: ModuleBuffer,
    value: ModuleBuffer,
}

impl From<(&str, &str)> for ModuleHeader {
    fn from((name, value): (&str, &str)) -> Self {
        Self { name: name.into(), value: value.into() }
    }
}

impl From<(&[u8], &[u8])> for ModuleHeader {
    fn from((name, value): (&[u8], &[u8])) -> Self {
        Self { name: name.into(), value: value.into() }
    }
}
