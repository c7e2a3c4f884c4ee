//! Feature `arbitrary`: any bytes generate values of every kind, which can be encoded and decoded again. Values from uniform
//! random input often pass the first check of a server.

use core::fmt::Debug;

use arbitrary::{Arbitrary, Unstructured};
use proptest::prelude::*;
use sans_socks::gssapi::{self, Frame, MessageType, Progress, ProtectionLevel};
use sans_socks::message::{AuthStatus, Decoded, Encode, Greeting, Methods, Selection};
use sans_socks::server::Established;
use sans_socks::socks4::{self, UserId};
use sans_socks::udp::{Datagram, Frag, Header};
use sans_socks::{
    Address, AddressBuf, Command, Credentials, CredentialsBuf, Domain, Host, Malformed, Method, Reply,
    ReplyCode, Request, client, server,
};

fn value<'a, T: Arbitrary<'a>>(input: &'a [u8]) -> Option<T> {
    T::arbitrary(&mut Unstructured::new(input)).ok()
}

/// Encodes the message that `input` generates, and decodes it again.
fn round_trip<'a, T: Arbitrary<'a> + Encode>(input: &'a [u8], is_same: impl Fn(&T, &[u8]) -> Option<usize>) {
    if let Some(message) = value::<T>(input) {
        let mut bytes = vec![0; message.encoded_len()];
        let len = message.encode_into(&mut bytes).unwrap();
        assert_eq!(is_same(&message, &bytes), Some(len));
    }
}

/// Returns the length of the message, if it was decoded and is `expected`.
fn same<T: PartialEq + Debug>(expected: &T, decoded: Result<Decoded<T>, Malformed>) -> Option<usize> {
    let (got, consumed) = decoded.unwrap().complete()?;
    assert_eq!(got, *expected);
    Some(consumed)
}

/// Returns many inputs, each long enough for every value.
fn inputs() -> impl Iterator<Item = Vec<u8>> {
    (0..16_384_u64).map(|seed| {
        let mut state = seed;
        let next = || {
            state = state
                .wrapping_mul(0x5851_f42d_4c95_7f2d)
                .wrapping_add(0x1405_7b7e_f767_814f);
            (state >> 56) as u8
        };
        std::iter::repeat_with(next).take(600).collect()
    })
}

/// Returns the descriptions of the values, sorted and without duplicates.
fn kinds<'a, T: Arbitrary<'a>, K: Ord>(inputs: &'a [Vec<u8>], describe: impl Fn(T) -> K) -> Vec<K> {
    let mut kinds: Vec<K> = inputs
        .iter()
        .filter_map(|input| value(input))
        .map(describe)
        .collect();
    kinds.sort();
    kinds.dedup();
    kinds
}

#[test]
fn arbitrary_values_are_of_every_kind() {
    let inputs: Vec<Vec<u8>> = inputs().collect();
    let all: Vec<u8> = (0..=255).collect();
    assert_eq!(kinds(&inputs, |method: Method| method.get()), all);
    assert_eq!(kinds(&inputs, |command: Command| command.get()), all);
    assert_eq!(kinds(&inputs, |code: ReplyCode| code.get()), all);
    assert_eq!(kinds(&inputs, |status: AuthStatus| status.get()), all);
    assert_eq!(kinds(&inputs, |selection: Selection| selection.method.get()), all);
    assert_eq!(kinds(&inputs, |frag: Frag| frag.get()), all);

    let lengths: Vec<usize> = (1..=255).collect();
    assert_eq!(kinds(&inputs, |name: Domain<'_>| name.as_bytes().len()), lengths);
    assert_eq!(
        kinds(&inputs, |credentials: Credentials<'_>| credentials
            .username()
            .len()),
        lengths
    );
    let offers = kinds(&inputs, |methods: Methods<'_>| methods.iter().count());
    assert_eq!((offers.first(), offers.last()), (Some(&1), Some(&255)));

    let host = |host: &Host<'_>| match host {
        Host::Ipv4(_) => 1,
        Host::Domain(_) => 3,
        Host::Ipv6(_) => 4,
    };
    let hosts = [1, 3, 4];
    assert_eq!(kinds(&inputs, |it: Host<'_>| host(&it)), hosts);
    assert_eq!(kinds(&inputs, |it: Address<'_>| host(&it.host)), hosts);
    assert_eq!(
        kinds(&inputs, |it: AddressBuf| host(&it.as_address().host)),
        hosts
    );

    assert_eq!(
        kinds(&inputs, |it: Frame<'_>| match it {
            Frame::Token { message_type, .. } => message_type.get(),
            Frame::Abort => 0xff,
        }),
        [1, 2, 3, 0xff]
    );
    let tokens = kinds(&inputs, |token: gssapi::Token<'_>| token.as_bytes().len());
    assert!(tokens.len() > 100, "{tokens:?}");
    assert_eq!(kinds(&inputs, MessageType::get), [1, 2, 3]);
    assert_eq!(kinds(&inputs, ProtectionLevel::get), [1, 2, 3]);
    assert_eq!(
        kinds(&inputs, |it: Progress| it == Progress::Complete),
        [false, true]
    );
    let established = |it| match it {
        Established::Stream => 1,
        Established::UdpAssociation => 3,
        Established::Other(_) => 0,
    };
    assert_eq!(kinds(&inputs, established), [0, 1, 3]);
}

#[test]
fn arbitrary_configurations_are_of_every_kind() {
    let inputs: Vec<Vec<u8>> = inputs().collect();
    let bits = [false, true];
    let servers: Vec<_> = (0..1 << 5)
        .map(|settings| {
            let is_set = |bit: u8| settings & (1 << bit) != 0;
            server::Config::new()
                .with_empty_credentials(is_set(0))
                .with_control_bytes(is_set(1))
                .with_strict_reserved(is_set(2))
                .with_lenient_version(is_set(3))
                .with_socks4(is_set(4))
        })
        .collect();
    let generated: Vec<server::Config> = inputs.iter().filter_map(|input| value(input)).collect();
    assert!(servers.iter().all(|config| generated.contains(config)));
    assert!(generated.iter().all(|config| servers.contains(config)));
    for settings in 0..1 << 3 {
        let is_set = |bit: u8| settings & (1 << bit) != 0;
        let config = client::Config::new()
            .with_optimistic(is_set(0))
            .with_strict_reserved(is_set(1))
            .with_strict_status_version(is_set(2));
        assert!(
            inputs.iter().any(|input| value(input) == Some(config)),
            "{config:?}"
        );
    }
    let nec = |config: &gssapi::ClientConfig| config.nec();
    assert_eq!(kinds(&inputs, |config| nec(&config)), bits);
    let clear = |config: &gssapi::ServerConfig| config.clear();
    assert_eq!(kinds(&inputs, |config| clear(&config)), bits);
}

/// A client sends a greeting without `FF`, and credentials when they are requested.
#[test]
fn arbitrary_auth_sends_what_it_offers() {
    let mut asked = 0;
    for input in inputs() {
        let Some(auth) = value::<client::Auth<'_>>(&input) else {
            continue;
        };
        let mut client = client::Handshake::new(&Request::new(Command::CONNECT, Address::UNSPECIFIED), auth);
        let client::Output::Transmit(transmit) = client.poll_output() else {
            panic!("the client transmits first");
        };
        let (greeting, _) = Greeting::decode(transmit.as_bytes()).unwrap().complete().unwrap();
        assert_eq!(greeting.methods().iter().count(), greeting.encoded_len() - 2);
        let password = greeting.methods().contains(Method::USERNAME_PASSWORD);
        transmit.sent_all();
        if password {
            asked += 1;
            assert_eq!(client.handle_input(&[5, 2]), 2);
            let client::Output::Transmit(transmit) = client.poll_output() else {
                panic!("the client transmits credentials");
            };
            assert!(
                Credentials::decode(transmit.as_bytes())
                    .unwrap()
                    .complete()
                    .is_some()
            );
        }
    }
    assert!(asked > 100);
}

/// A count of 1 to 255 in a byte, and that many bytes.
const COUNTED: (usize, Option<usize>) = (0, Some(256));

/// Asserts the size hint of `T`, and that `T` consumes no fewer and no more bytes.
fn takes<'a, T: Arbitrary<'a>>(inputs: &'a [Vec<u8>], hint: (usize, Option<usize>)) {
    assert_eq!(T::size_hint(0), hint);
    keeps_to_its_hint::<T>(inputs);
}

fn keeps_to_its_hint<'a, T: Arbitrary<'a>>(inputs: &'a [Vec<u8>]) {
    let (least, most) = T::size_hint(0);
    for input in inputs {
        let mut unread = Unstructured::new(input);
        if T::arbitrary(&mut unread).is_ok() {
            let taken = input.len() - unread.len();
            assert!(taken >= least, "{taken}");
            assert!(most.is_none_or(|most| taken <= most), "{taken}");
        }
    }
}

#[test]
fn arbitrary_values_keep_to_their_size_hint() {
    let inputs: Vec<Vec<u8>> = inputs().collect();
    takes::<Domain<'_>>(&inputs, (0, Some(257)));
    takes::<Methods<'_>>(&inputs, COUNTED);
    takes::<Credentials<'_>>(&inputs, (0, Some(512)));
    // Methods, then credentials if they are offered.
    takes::<client::Auth<'_>>(&inputs, (0, Some(769)));
    takes::<CredentialsBuf>(&inputs, (0, Some(512)));
    takes::<Command>(&inputs, (0, Some(2)));
    takes::<Established>(&inputs, (0, Some(3)));
    takes::<AddressBuf>(&inputs, Address::size_hint(0));
    keeps_to_its_hint::<Address<'_>>(&inputs);
    keeps_to_its_hint::<Greeting<'_>>(&inputs);
    keeps_to_its_hint::<Request<'_>>(&inputs);
    keeps_to_its_hint::<Frame<'_>>(&inputs);
    keeps_to_its_hint::<gssapi::ClientConfig>(&inputs);
    keeps_to_its_hint::<gssapi::ServerConfig>(&inputs);
}

/// a token that would be too long is cut to 65,535 bytes.
#[test]
fn arbitrary_token_of_long_input_is_the_longest() {
    let input = vec![7; 70_000];
    let token = gssapi::Token::arbitrary_take_rest(Unstructured::new(&input)).unwrap();
    assert_eq!(token.as_bytes(), &input[..65_535]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_messages_round_trip(input in proptest::collection::vec(any::<u8>(), 0..700)) {
        round_trip(&input, |message, bytes| same::<Greeting<'_>>(message, Greeting::decode(bytes)));
        round_trip(&input, |message, bytes| same::<Selection>(message, Selection::decode(bytes)));
        round_trip(&input, |message, bytes| same::<AuthStatus>(message, AuthStatus::decode(bytes)));
        round_trip(&input, |message, bytes| same::<Request<'_>>(message, Request::decode(bytes)));
        round_trip(&input, |message, bytes| same::<Reply<'_>>(message, Reply::decode(bytes)));
        round_trip(&input, |message, bytes| same::<Frame<'_>>(message, Frame::decode(bytes)));
        round_trip(&input, |message: &Credentials<'_>, bytes| {
            let (got, consumed) = Credentials::decode(bytes).unwrap().complete()?;
            got.verify(message.username(), message.password()).then_some(consumed)
        });
        round_trip(&input, |message: &Header<'_>, bytes| {
            (Datagram::decode(bytes) == Ok(Datagram::new(*message, &[]))).then_some(bytes.len())
        });
        if let Some(datagram) = value::<Datagram<'_>>(&input) {
            let mut bytes = vec![0; datagram.encoded_len()];
            datagram.encode_into(&mut bytes).unwrap();
            assert_eq!(Datagram::decode(&bytes), Ok(datagram));
        }
    }
}

/// Returns inputs of uniform random bytes, as a fuzzer starts with.
fn uniform(len: std::ops::RangeInclusive<usize>) -> impl Iterator<Item = Vec<u8>> {
    let mut random = fastrand::Rng::with_seed(1928);
    std::iter::repeat_with(move || {
        let len = random.usize(len.clone());
        std::iter::repeat_with(|| random.u8(..)).take(len).collect()
    })
}

type Handshakes<'a> = (
    Request<'a>,
    client::Auth<'a>,
    client::Config,
    server::Config,
    Address<'a>,
);

/// Returns whether the client's request reaches a default server that accepts everything, as CONNECT.
fn reaches_connect(request: &Request<'_>, auth: client::Auth<'_>, config: client::Config) -> bool {
    let mut client = client::Handshake::with_config(request, auth, config);
    let mut server = server::Handshake::new();
    let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
    for _ in 0..50 {
        match client.poll_output() {
            client::Output::Transmit(transmit) => {
                to_server.extend_from_slice(transmit.as_bytes());
                transmit.sent_all();
            }
            client::Output::NeedInput { .. } => {
                let consumed = client.handle_input(&to_client);
                to_client.drain(..consumed);
            }
            client::Output::Negotiate(negotiate) => negotiate.accept(),
            client::Output::Bound(_) | client::Output::Established(_) | client::Output::Closed(_) => {}
        }
        match server.poll_output() {
            server::Output::Transmit(transmit) => {
                to_client.extend_from_slice(transmit.as_bytes());
                transmit.sent_all();
            }
            server::Output::NeedInput { .. } => {
                let consumed = server.handle_input(&to_server);
                to_server.drain(..consumed);
            }
            server::Output::SelectMethod(select) => {
                let offered: Vec<Method> = select.offered().iter().collect();
                select.select_preferred(&offered);
            }
            server::Output::Authenticate(authenticate) => authenticate.accept(),
            server::Output::Negotiate(negotiate) => negotiate.accept(),
            server::Output::PendingRequest(pending) => return pending.request().command == Command::CONNECT,
            server::Output::PendingPeer(_) | server::Output::Established(_) | server::Output::Closed(_) => {
                return false;
            }
        }
    }
    false
}

/// At least 1 in 5 values reach a default server as CONNECT.
#[test]
fn arbitrary_uniform_input_leads_to_connect() {
    let total = 5_000;
    let reached = uniform(64..=128).take(total).filter(|input| {
        value::<Handshakes<'_>>(input)
            .is_some_and(|(request, auth, config, ..)| reaches_connect(&request, auth, config))
    });
    let reached = reached.count();
    assert!(reached * 5 >= total, "{reached} of {total}");
}

/// Short input also generates values, and so does a list of methods that starts with `FF`.
#[test]
fn arbitrary_values_need_no_input() {
    let all_ff = (0..=64).map(|len| vec![0xff; len]);
    for input in uniform(0..=64).take(2_000).chain(all_ff) {
        assert!(value::<Domain<'_>>(&input).is_some());
        assert!(value::<Credentials<'_>>(&input).is_some());
        assert!(value::<Methods<'_>>(&input).is_some());
        assert!(value::<client::Auth<'_>>(&input).is_some());
        assert!(value::<gssapi::Token<'_>>(&input).is_some());
        assert!(value::<UserId<'_>>(&input).is_some());
        assert!(value::<socks4::Request<'_>>(&input).is_some());
        assert!(value::<Datagram<'_>>(&input).is_some());
    }
}

/// Fewer than 5 % of inputs of 64 bytes or more generate no value.
#[test]
fn arbitrary_uniform_input_gives_a_value() {
    let total = 5_000;
    let none = uniform(64..=600)
        .take(total)
        .filter(|input| value::<Handshakes<'_>>(input).is_none())
        .count();
    assert!(none * 20 < total, "{none} of {total}");
}

/// 3 in 4 code points are named, and half of the commands are CONNECT.
#[test]
fn arbitrary_code_points_are_mostly_named() {
    let inputs: Vec<Vec<u8>> = uniform(64..=128).take(4_000).collect();
    let named = |is_named: &dyn Fn(&[u8]) -> bool| inputs.iter().filter(|input| is_named(input)).count();
    // A few of the others are named by chance.
    for count in [
        named(&|input| value::<Method>(input).is_some_and(|it| it.name().is_some())),
        named(&|input| value::<Command>(input).is_some_and(|it| it.name().is_some())),
        named(&|input| value::<ReplyCode>(input).is_some_and(|it| it.name().is_some())),
        named(&|input| value::<AuthStatus>(input).is_some_and(|it| it.name().is_some())),
    ] {
        assert!((2_900..3_200).contains(&count), "{count}");
    }
    let connects = named(&|input| value(input) == Some(Command::CONNECT));
    assert!((2_000..2_300).contains(&connects), "{connects}");
}

/// Half of the names are host names, and credentials leave input for the next value.
#[test]
fn arbitrary_names_are_host_names_by_half() {
    let inputs: Vec<Vec<u8>> = uniform(64..=128).take(2_000).collect();
    let is_host_name = |name: Domain<'_>| {
        let bytes = name.as_bytes();
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
        bytes.iter().all(allowed) && !bytes.starts_with(b".") && !bytes.starts_with(b"-")
    };
    let names: Vec<bool> = inputs
        .iter()
        .filter_map(|input| value(input))
        .map(is_host_name)
        .collect();
    assert_eq!(names.len(), inputs.len());
    let host_names = names.iter().filter(|is| **is).count();
    assert!((900..1_150).contains(&host_names), "{host_names}");
    for input in &inputs {
        let mut unread = Unstructured::new(input);
        let _ = Credentials::arbitrary(&mut unread).unwrap();
        assert!(
            unread.len() >= input.len() / 5,
            "{} of {}",
            unread.len(),
            input.len()
        );
    }
}

/// `Other` has only commands without their own variant.
#[test]
fn arbitrary_established_other_is_no_command_with_a_variant() {
    for input in inputs() {
        if let Some(Established::Other(command)) = value(&input) {
            assert!(![Command::CONNECT, Command::BIND, Command::UDP_ASSOCIATE].contains(&command));
        }
    }
}

#[test]
fn arbitrary_socks4_requests_are_encodable() {
    use sans_socks::socks4;

    let inputs: Vec<Vec<u8>> = inputs().collect();
    let lengths = kinds(&inputs, |request: socks4::Request<'_>| {
        let mut bytes = vec![0; request.encoded_len()];
        let len = request.encode_into(&mut bytes).unwrap();
        assert_eq!(
            socks4::Request::decode(&bytes).unwrap().complete(),
            Some((request, len))
        );
        len
    });
    assert!(lengths.len() > 100);
    // User ids and ports vary, even if version 4 cannot encode the host.
    let user_ids = kinds(&inputs, |request: socks4::Request<'_>| {
        request.user_id().as_bytes().len()
    });
    assert!(user_ids.len() > 10, "{user_ids:?}");
    for input in &inputs {
        let Some((command, address)) = value::<(Command, Address<'_>)>(input) else {
            continue;
        };
        if let Some(request) = value::<socks4::Request<'_>>(input) {
            assert_eq!(
                (request.command(), request.address().port),
                (command, address.port)
            );
            let host = match socks4::Request::new(command, address, socks4::UserId::EMPTY) {
                Ok(_) => address.host,
                Err(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
            };
            assert_eq!(request.address().host, host);
        }
    }
}

/// Half of the values offer `00`, `02` or both, and nothing else.
#[test]
fn arbitrary_auth_offers_the_common_methods_in_half() {
    let inputs: Vec<Vec<u8>> = uniform(800..=1000).take(3000).collect();
    let mut common = [0; 3];
    let mut all = 0;
    for input in &inputs {
        let Some(auth) = value::<client::Auth<'_>>(input) else {
            continue;
        };
        all += 1;
        let request = Request::new(Command::CONNECT, Address::UNSPECIFIED);
        let mut client = client::Handshake::new(&request, auth);
        if let client::Output::Transmit(transmit) = client.poll_output() {
            match transmit.as_bytes() {
                [5, 1, 0] => common[0] += 1,
                [5, 1, 2] => common[1] += 1,
                [5, 2, 0, 2] | [5, 2, 2, 0] => common[2] += 1,
                _ => {}
            }
        }
    }
    // Each is a sixth; the bound is an eighth.
    for count in common {
        assert!(count * 8 > all, "{common:?} of {all}");
    }
}
