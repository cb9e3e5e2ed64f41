//! Base64 (RFC 4648, standard alphabet), decoded byte by byte: nothing is kept of what may be a secret.

/// Hands the decoded bytes to `each` until it returns false. Padding may be missing. An error: the text is not base64;
/// `each` has got the bytes before.
pub fn decode(text: &[u8], mut each: impl FnMut(u8) -> bool) -> Result<(), ()> {
    let digits = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    if digits.len() % 4 == 1 || text.len() != digits.len() && text.len() % 4 != 0 {
        return Err(());
    }
    let (mut bits, mut have) = (0_u32, 0_u32);
    for digit in digits {
        bits = bits << 6 | value(*digit).ok_or(())?;
        have += 6;
        if have >= 8 {
            have -= 8;
            if !each((bits >> have) as u8) {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn value(digit: u8) -> Option<u32> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &str) -> Result<Vec<u8>, ()> {
        let mut bytes = Vec::new();
        decode(text.as_bytes(), |byte| {
            bytes.push(byte);
            true
        })
        .map(|()| bytes)
    }

    #[test]
    fn the_test_vectors_of_rfc_4648_are_decoded() {
        for (text, plain) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg==", "foob"),
            ("Zm9vYmE=", "fooba"),
            ("Zm9vYmFy", "foobar"),
            ("Zg", "f"),
            ("Zm8", "fo"),
        ] {
            assert_eq!(Ok(plain.as_bytes().to_vec()), decoded(text), "{text}");
        }
        assert_eq!(Ok(vec![0xfb, 0xff, 0xfe]), decoded("+//+"));
    }

    #[test]
    fn everything_else_is_an_error() {
        for text in ["Z", "Zm9vY", "Zm9v=", "Zm=v", "Zg===", "=", "Zm9 ", "Zm9\n", "Zm-_", "a:b="] {
            assert_eq!(Err(()), decoded(text), "{text}");
        }
    }

    #[test]
    fn decoding_stops_when_nothing_more_is_wanted() {
        let mut first = None;
        let outcome = decode(b"Zm9v!!!!", |byte| {
            first = Some(byte);
            false
        });

        assert_eq!((Ok(()), Some(b'f')), (outcome, first));
    }
}
