//! The golden vectors of `data/vectors.tsv` (V-001 and on), whole and in every truncation, and encoded again.

use std::collections::BTreeMap;

use sans_socks::client;
use sans_socks::message::{AuthStatus, Decoded, Encode, Greeting, Selection};
use sans_socks::{
    Address, Command, Credentials, Error, Host, Malformed, PeerMisbehaved, Reply, Request, socks4,
};
use sans_socks_testing::driver;
use sans_socks_testing::driver::exchange::{Message, next_decision};
use sans_socks_testing::driver::{Client, Delivery, Due, Record, Script, address, unhex};
use sans_socks_testing::vectors::{Vector, vectors};

/// The number of rows of each decoder, so that no row is lost or ignored.
const ROWS: [(&str, usize); 14] = [
    ("greeting", 12),
    ("method", 5),
    ("client-method", 2),
    ("userpass", 6),
    ("userpass-lenient", 1),
    ("status", 5),
    ("request", 18),
    ("reply", 13),
    ("client-reply", 1),
    ("client-reply-strict-rsv", 1),
    ("udp", 10),
    ("gss", 11),
    ("socks4-request", 4),
    ("socks4-reply", 2),
];

/// Rows that other tests run.
const ELSEWHERE: [&str; 2] = ["udp", "gss"];

/// Rows whose bytes differ from those that an encoder writes: RSV 01, a name of length 0.
const WRITTEN_OTHERWISE: [(&str, &str); 3] = [
    ("V-059", "05 01 00 01 7f000001 1f90"),
    ("V-076", "05 00 00 01 00000000 0000"),
    ("V-091", "05 00 00 01 7f000001 c001"),
];

/// Returns the rows for decoders of messages.
fn messages() -> impl Iterator<Item = Vector> {
    let others = |row: &Vector| ELSEWHERE.contains(&row.decoder) || row.decoder.starts_with("client-");
    vectors().filter(move |row| !others(row))
}

/// A decoder's result for an input, in the words of the table, and the message encoded again.
struct Outcome {
    result: String,
    encoded: Option<Vec<u8>>,
}

fn outcome<T: Encode>(
    input: &[u8],
    decoded: Result<Decoded<T>, Malformed>,
    fields: impl Fn(&T) -> String,
) -> Outcome {
    let (result, encoded) = match decoded {
        Ok(Decoded::Complete { value, consumed }) => {
            let left = match input.len() - consumed {
                0 => String::new(),
                left => format!(" left={left}"),
            };
            let mut encoded = vec![0xee; T::MAX_LEN];
            let len = value.encode_into(&mut encoded).unwrap();
            assert_eq!(len, value.encoded_len());
            encoded.truncate(len);
            (
                format!("OK consumed={consumed}{left} {}", fields(&value)),
                Some(encoded),
            )
        }
        Ok(Decoded::Incomplete { needed }) => (format!("INCOMPLETE needed={needed}"), None),
        Err(fault) => (format!("ERROR {}", words(fault)), None),
    };
    Outcome { result, encoded }
}

fn words(fault: Malformed) -> String {
    match fault {
        Malformed::Version { got, .. } => format!("version {got:02x}"),
        Malformed::NoMethods => "nmethods 0".into(),
        Malformed::EmptyCredentials => "ulen 0".into(),
        Malformed::AddressType(atyp) => format!("atyp {atyp:02x}"),
        Malformed::EmptyDomain => "empty domain".into(),
        Malformed::Reserved(rsv) => format!("rsv {rsv:02x}"),
        other => panic!("no row has {other:?}"),
    }
}

/// Returns how many bytes show a fault.
fn shown_by(decoder: &str, fault: &str) -> usize {
    match fault.split_once(' ').unwrap().0 {
        // The byte that would be the first of the name, after an empty user id.
        "empty" if decoder == "socks4-request" => 10,
        "version" => 1,
        "nmethods" | "ulen" => 2,
        "atyp" => 4,
        "empty" => 5,
        other => panic!("no row has {other:?}"),
    }
}

fn place(address: &Address<'_>) -> String {
    match address.host {
        Host::Domain(name) => format!("addr=\"{}\":{}", name.as_bytes().escape_ascii(), address.port),
        _ => format!("addr={address}"),
    }
}

fn decode(decoder: &str, input: &[u8]) -> Outcome {
    let credentials = |credentials: &Credentials<'_>| {
        let (user, pass) = (credentials.username(), credentials.password());
        format!("user={}, pass={}", hex::encode(user), hex::encode(pass))
    };
    match decoder {
        "greeting" => outcome(input, Greeting::decode(input), |greeting| {
            let methods: Vec<u8> = greeting.methods().iter().map(u8::from).collect();
            format!("methods={}", hex::encode(methods))
        }),
        "method" => outcome(input, Selection::decode(input), |selection| {
            format!("method={:02x}", selection.method)
        }),
        "userpass" => outcome(input, Credentials::decode(input), credentials),
        "userpass-lenient" => outcome(input, Credentials::decode_allowing_empty(input), credentials),
        "status" => outcome(input, AuthStatus::decode(input), |status| {
            match status.is_success() {
                true => "status=success".into(),
                false => format!("status=failure {status:02x}"),
            }
        }),
        "request" => outcome(input, Request::decode(input), |request| {
            format!("cmd={:02x}, {}", request.command, place(&request.address))
        }),
        "reply" => outcome(input, Reply::decode(input), |reply| {
            format!("rep={:02x}, {}", reply.code, place(&reply.address))
        }),
        "socks4-request" => outcome(input, socks4::Request::decode(input), |request| {
            let user_id = hex::encode(request.user_id().as_bytes());
            let place = place(&request.address());
            format!("cmd={:02x}, {place}, user={user_id}", request.command())
        }),
        "socks4-reply" => outcome(input, socks4::Reply::decode(input), |reply| {
            format!("code={:02x}, addr={}", reply.code, reply.address)
        }),
        other => panic!("no such decoder: {other}"),
    }
}

fn message(decoder: &str) -> Message {
    match decoder {
        "greeting" => Message::Greeting,
        "method" | "status" => Message::TwoBytes,
        "userpass" | "userpass-lenient" => Message::Credentials,
        "request" => Message::Request,
        "reply" => Message::Reply,
        "socks4-request" => Message::Socks4Request,
        "socks4-reply" => Message::Socks4Reply,
        other => panic!("no such decoder: {other}"),
    }
}

#[test]
fn vectors_are_all_run() {
    let mut counts = BTreeMap::new();
    for row in vectors() {
        *counts.entry(row.decoder).or_insert(0) += 1;
    }
    assert_eq!(counts, BTreeMap::from(ROWS));
}

/// R-004..R-006, R-008, R-022, R-026..R-030, R-033, R-061, R-062.
#[test]
fn vectors_decode_as_stated() {
    for Vector {
        id,
        decoder,
        input,
        result,
    } in messages()
    {
        assert_eq!(decode(decoder, &input).result, result, "{id}");
    }
}

/// an encoder writes the bytes that the
/// decoder has read, and needs no more room than it reports.
#[test]
fn vectors_encode_to_the_same_bytes() {
    for Vector {
        id, decoder, input, ..
    } in messages()
    {
        let Some(encoded) = decode(decoder, &input).encoded else {
            continue;
        };
        let otherwise = WRITTEN_OTHERWISE.iter().find(|(other, _)| *other == id);
        match otherwise {
            Some((_, written)) => assert_eq!(encoded, unhex(written), "{id}"),
            // FF in METHODS is skipped, but encoded again.
            None => assert!(input.starts_with(&encoded), "{id}: {encoded:02x?}"),
        }
    }
}

/// A truncated message is incomplete up to its next decision, which is never past its end. A fault is reported at the byte that
/// shows it, and later bytes do not change that.
#[test]
fn truncated_vectors_need_up_to_the_next_decision() {
    for Vector {
        id,
        decoder,
        input,
        result,
    } in messages()
    {
        let decided = match result.strip_prefix("ERROR ") {
            Some(fault) => shown_by(decoder, fault),
            None => consumed(result).unwrap_or(usize::MAX),
        };
        for have in 0..=input.len() {
            let came = decode(decoder, &input[..have]).result;
            if have < decided {
                let point = next_decision(message(decoder), false, &input, have).unwrap();
                assert_eq!(
                    came,
                    format!("INCOMPLETE needed={}", point - have),
                    "{id}, {have} bytes"
                );
            } else if result.starts_with("ERROR") {
                assert_eq!(came, result, "{id}, {have} bytes");
            } else {
                let left = have - decided;
                let stated = format!("OK consumed={decided} left={left}").replace(" left=0", "");
                assert!(came.starts_with(&stated), "{id}, {have} bytes: {came}");
            }
        }
    }
}

/// The machine, not the decoder, checks an unoffered method, REP before ATYP, and strict RSV (R-025, V-022, V-023, V-088,
/// V-092).
#[test]
fn client_judges_its_vectors_as_stated() {
    let mut judged = 0;
    for row in vectors() {
        let strict = row.decoder.ends_with("-strict-rsv");
        let selection: &[u8] = match row.decoder {
            "client-method" => &[],
            "client-reply" | "client-reply-strict-rsv" => &[5, 0],
            _ => continue,
        };
        judged += 1;
        let script = Script::Client(Client {
            config: client::Config::new().with_strict_reserved(strict),
            ..Client::new(Command::CONNECT, address("app.test:8080"))
        });
        let record: Record = driver::run(&script, &Delivery::reads([selection, &row.input]));
        let Some(Due::Closed(error)) = record.end() else {
            panic!("{}: {:?}", row.id, record.end());
        };
        let words = match error {
            Error::PeerMisbehaved(PeerMisbehaved::MethodNotOffered(method)) => {
                format!("method {method:02x} not offered")
            }
            Error::Refused(code) => format!("refused {code:02x}"),
            Error::Malformed(fault) => words(*fault),
            other => panic!("{}: {other:?}", row.id),
        };
        assert_eq!(format!("ERROR {words}"), row.result, "{}", row.id);
    }
    assert_eq!(judged, 4);
}

/// Encoding can fail only if there is too little room, and then nothing is written.
#[test]
fn encode_into_a_small_buffer_writes_nothing() {
    fn check(message: &impl Encode) {
        let needed = message.encoded_len();
        for room in 0..needed {
            let mut out = vec![0xee; room];
            assert_eq!(message.encode_into(&mut out).unwrap_err().needed, needed);
            assert!(out.iter().all(|byte| *byte == 0xee), "{out:02x?}");
            #[cfg(feature = "bytes")]
            {
                let mut room = &mut out[..];
                assert_eq!(message.encode(&mut room).unwrap_err().needed, needed);
                assert!(out.iter().all(|byte| *byte == 0xee), "{out:02x?}");
            }
        }
        let mut out = vec![0xee; needed + 3];
        assert_eq!(message.encode_into(&mut out), Ok(needed));
        assert_eq!(out[needed..], [0xee; 3]);
        #[cfg(feature = "bytes")]
        {
            let mut appended = vec![0xdd];
            assert_eq!(message.encode(&mut appended), Ok(()));
            assert_eq!(appended[1..], out[..needed]);
            assert_eq!(appended[0], 0xdd);
        }
    }
    for Vector { decoder, input, .. } in messages() {
        match decoder {
            "greeting" => whole(Greeting::decode(&input)).iter().for_each(check),
            "method" => whole(Selection::decode(&input)).iter().for_each(check),
            "userpass" | "userpass-lenient" => {
                whole(Credentials::decode_allowing_empty(&input))
                    .iter()
                    .for_each(check);
            }
            "status" => whole(AuthStatus::decode(&input)).iter().for_each(check),
            "request" => whole(Request::decode(&input)).iter().for_each(check),
            "socks4-request" => whole(socks4::Request::decode(&input)).iter().for_each(check),
            "socks4-reply" => whole(socks4::Reply::decode(&input)).iter().for_each(check),
            _ => whole(Reply::decode(&input)).iter().for_each(check),
        }
    }
}

/// Returns the length of the message, if it is whole.
fn consumed(result: &str) -> Option<usize> {
    let number = result.strip_prefix("OK consumed=")?;
    number.split(' ').next()?.parse().ok()
}

fn whole<T>(decoded: Result<Decoded<T>, Malformed>) -> Option<T> {
    decoded.ok()?.complete().map(|(value, _)| value)
}
