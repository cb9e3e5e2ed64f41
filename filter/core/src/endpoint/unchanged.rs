//! The message of a fill as its client sent it.

use crate::hedge::{self, Asks};
use crate::host::body::RequestBody;
use crate::host::clock::Clock;
use crate::host::request::{Request, StreamNote};

/// gRPC's bytes in front of a message: a flag and a length.
const PREFIX: usize = 5;

/// What the attempt asks that begins now. The length that its headers announce is that of the message that it sends.
pub fn begin(stream: &mut (impl Request + StreamNote + Clock)) -> Asks {
    let asks = hedge::begin(stream);
    if let Asks::Client { appended } = asks {
        announce(appended, stream);
    }
    asks
}

fn announce(appended: usize, stream: &mut impl Request) {
    let length = stream.request_header("content-length").and_then(|length| {
        std::str::from_utf8(length).ok()?.parse::<usize>().ok()?.checked_sub(appended)
    });
    if let Some(length) = length {
        stream.set_request_header("content-length", &length.to_string());
    }
}

/// Removes so many bytes from the end of the message that the running hook has received. False: that is not a whole message, and
/// nothing was removed.
pub fn restore(appended: usize, stream: &mut impl RequestBody) -> bool {
    let mut frame = Vec::new();
    stream.read_request_body(|piece| frame.extend_from_slice(piece));
    let Some([0, length @ ..]) = frame.first_chunk::<PREFIX>() else { return false };
    let length = u32::from_be_bytes(*length) as usize;
    if length + PREFIX != frame.len() || length < appended {
        return false;
    }
    frame.truncate(frame.len() - appended);
    frame[1..PREFIX].copy_from_slice(&((length - appended) as u32).to_be_bytes());
    stream.replace_request_body(&frame);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::{grpc_request, FakeStream};
    use crate::wire::encode::framed;

    #[test]
    fn the_message_and_its_length_are_as_before() {
        let mut stream =
            FakeStream { received: framed(b"question+suffix"), ..grpc_request("Search") };
        stream.piece = Some(3);
        stream.request.push(("content-length".to_owned(), "20".to_owned()));

        announce(7, &mut stream);

        assert!(restore(7, &mut stream));
        assert_eq!(framed(b"question"), stream.received);
        assert_eq!(Some(&b"13"[..]), stream.request_header("content-length"));
    }

    #[test]
    fn what_is_not_one_whole_message_stays() {
        let whole = framed(b"question");
        for received in [&whole[..9], &[&whole[..], &[0]].concat(), &whole[..3], b"", &framed(b"")]
        {
            let mut stream = FakeStream { received: received.to_vec(), ..FakeStream::default() };
            assert!(!restore(1, &mut stream));
            assert_eq!(received, stream.received);
        }
    }
}
