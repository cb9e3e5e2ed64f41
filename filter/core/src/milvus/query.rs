//! The queries of REST requests.

/// The paths for which Milvus reads the query, each with the `?` before the query.
const QUERIED: [&[u8]; 2] = [b"/v1/vector/collections?", b"/v1/vector/collections/describe?"];

/// The query of a `:path`, where Milvus reads it.
pub fn of(path: &[u8]) -> Option<&[u8]> {
    QUERIED.iter().find_map(|queried| path.strip_prefix(*queried))
}

/// The value of the first pair with this key in a query, as Go's `url.ParseQuery` decodes it.
pub fn value(query: &[u8], key: &[u8]) -> Option<Vec<u8>> {
    query.split(|byte| *byte == b'&').filter(|pair| !pair.contains(&b';')).find_map(|pair| {
        let mut halves = pair.splitn(2, |byte| *byte == b'=').map(percent_decoded);
        let (found, value) = (halves.next()??, halves.next().unwrap_or(Some(Vec::new())));
        value.filter(|_| found == key)
    })
}

/// A part of a query without its escapes; None if one is not whole.
fn percent_decoded(text: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::new();
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(*bytes.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                (high << 4 | low) as u8
            }
            other => *other,
        });
    }
    Some(decoded)
}
