//! What a read asks for, and whether its answer may be stored. Everything here is a function of the request alone.
//!
//! Two reads with the same key get the same answer from a Milvus that has not changed, except for the writes that one of
//! them must see and the other need not. What is not known to make no difference is part of the key: the price is a miss.

mod fields;
pub mod glance;
pub mod headers;
pub mod keyed_hash;
pub mod learned;
mod level;
mod message;
pub mod method;
mod pairs;
mod recent;
mod rules;
pub mod sha256;
pub mod structural;
pub mod suffix;
#[cfg(test)]
mod tests;

use crate::cache::question::glance::{Asker, Credentials};
use crate::cache::question::headers::{Header, Relevant};
use crate::cache::question::method::Method;
use crate::cache::question::sha256::Sha256;
use crate::cache::read::Read;
use crate::cache::reason::Reason;
use crate::wire::encode::{delimited, framed};

/// The longest name of a database or collection, in bytes (Milvus: `proxy.maxNameLength`).
const MAX_NAME: usize = 255;
const PREFIX: usize = 5;

/// The one message of a gRPC request or answer that has arrived whole, without its prefix of five bytes.
pub fn message_of(body: &[u8]) -> Result<&[u8], Reason> {
    let (prefix, message) = body.split_first_chunk::<PREFIX>().ok_or(Reason::Unreadable)?;
    let [flag, length @ ..] = *prefix;
    match flag {
        0 if message.len() == u32::from_be_bytes(length) as usize => Ok(message),
        1 => Err(Reason::Compressed),
        _ => Err(Reason::Unreadable),
    }
}

/// Reads a request: its headers, with names in lower case, and its whole message without the prefix.
pub fn read(method: Method, headers: &[Header], message: &[u8]) -> Result<Read, Reason> {
    let headers = Relevant::of(headers)?;
    let caller = headers.caller();
    let credentials = Credentials::of(headers.authorization());
    let (asked, of_message) = recent::read(method, message)?;
    // Milvus takes the database of the message, else of the header, else `default` (database_interceptor.go). All the same
    // the three are different keys: it checks privileges by the header.
    let database = [asked.database, headers.database(), b"default"];
    let database = *database.iter().find(|name| !name.is_empty()).unwrap_or(&&b""[..]);
    if !asked.is_of_one_collection(database) {
        return Err(Reason::OtherCollection);
    }

    let of_headers = headers.digest();
    let mut hash = Sha256::new();
    hash.push(&of_headers);
    hash.push(&of_message);
    let mut collection_hash = Sha256::new();
    collection_hash.push(&of_headers);
    collection_hash.push_text(asked.database);
    collection_hash.push_text(asked.collection);
    Ok(Read {
        key: hash.finish(),
        collection_key: collection_hash.finish(),
        caller,
        database: name(database)?,
        collection: name(asked.collection)?,
        level: asked.wanted.stated()?,
        guarantee: asked.wanted.guarantee,
        asker: Asker::of(credentials, asked.database, asked.collection),
        is_repeated: false,
    })
}

/// The body of a DescribeCollection of the read's collection: db_name (2), collection_name (3). With the read's headers
/// Milvus finds the same collection, by an alias too, and checks the same privileges.
pub fn describe(read: &Read) -> Vec<u8> {
    let names = [delimited(2, read.database.as_bytes()), delimited(3, read.collection.as_bytes())];
    framed(&names.concat())
}

/// Milvus refuses a name that is too long or not UTF-8.
fn name(bytes: &[u8]) -> Result<String, Reason> {
    let text = std::str::from_utf8(bytes).map_err(|_| Reason::Unreadable)?;
    if text.len() > MAX_NAME {
        return Err(Reason::Unreadable);
    }
    Ok(text.to_owned())
}
