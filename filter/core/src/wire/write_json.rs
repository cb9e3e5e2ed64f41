//! A writer of JSON (RFC 8259).

use std::fmt::Write;

/// A list, of which `write` writes each value.
pub fn list<T>(
    json: &mut String,
    each: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut String, T),
) {
    json.push('[');
    for (place, value) in each.into_iter().enumerate() {
        if place > 0 {
            json.push(',');
        }
        write(json, value);
    }
    json.push(']');
}

/// A list of numbers.
pub fn numbers(json: &mut String, numbers: &[u64]) {
    list(json, numbers, |json, number| {
        let _ = write!(json, "{number}");
    });
}

/// A string. What is no UTF-8 is replaced.
pub fn text(json: &mut String, bytes: &[u8]) {
    json.push('"');
    for character in String::from_utf8_lossy(bytes).chars() {
        match character {
            '"' | '\\' => json.extend(['\\', character]),
            '\0'..='\x1f' => {
                let _ = write!(json, "\\u{:04x}", u32::from(character));
            }
            _ => json.push(character),
        }
    }
    json.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::json::{parse_object, Value};

    #[test]
    fn what_is_written_can_be_read() {
        let mut json = "{\"a\":".to_owned();
        list(&mut json, [&b"x\"\\\n\x01"[..], b"\xff", "é".as_bytes()], text);
        json.push_str(",\"b\":");
        numbers(&mut json, &[1, 0, 7]);
        json.push('}');

        let mut object = parse_object(json.as_bytes()).unwrap();

        let texts = ["x\"\\\n\u{1}", "\u{fffd}", "é"].map(|text| Value::Text(text.to_owned()));
        assert_eq!(Some(Value::List(texts.to_vec())), object.take("a"));
        assert_eq!(
            Some(Value::List([1.0, 0.0, 7.0].map(Value::Number).to_vec())),
            object.take("b")
        );
    }
}
