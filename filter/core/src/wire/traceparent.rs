//! The header `traceparent` (W3C Trace Context, section 3.2): `00-TRACE-SPAN-FLAGS`, in hexadecimal digits.

/// Bytes up to the end of the flags; a later version may add more.
const LENGTH: usize = 55;
const DASHES: [usize; 3] = [2, 35, 52];
const SAMPLED: u8 = 1;

/// Whether the trace is recorded; a header that is none, or malformed, says no.
pub fn is_sampled(header: Option<&[u8]>) -> bool {
    let Some(fields) = header.and_then(|value| value.get(..LENGTH)) else { return false };
    let well_formed = DASHES.iter().all(|place| fields[*place] == b'-');
    // The last digit of the flags has the flag.
    let last = char::from(fields[LENGTH - 1]).to_digit(16);
    well_formed && last.is_some_and(|digit| digit as u8 & SAMPLED != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_flag_says_whether_a_trace_is_recorded() {
        let header = |flags: &str| format!("00-{}-{}-{flags}", "a".repeat(32), "b".repeat(16));
        for (value, expected) in [
            (header("01"), true),
            (header("00"), false),
            (header("03"), true),
            (header("fe"), false),
            (header("01-later"), true),
            (header("0"), false),
            (header("0x"), false),
            (header("01").replace('-', "_"), false),
            (String::new(), false),
        ] {
            assert_eq!(expected, is_sampled(Some(value.as_bytes())), "{value}");
        }
        assert!(!is_sampled(None));
    }
}
