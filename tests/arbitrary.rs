//! Feature `arbitrary`: every octet string gives values that can be built, written and read back, and every kind
//! of value comes.

use core::fmt::Debug;

use arbitrary::{Arbitrary, Unstructured};
use proptest::prelude::*;
use sans_socks::gssapi::{self, Frame, MessageType, Progress, ProtectionLevel};
use sans_socks::message::{AuthStatus, Decoded, Encode, Greeting, Methods, Selection};
use sans_socks::server::Established;
use sans_socks::udp::{Datagram, Frag, Header};
use sans_socks::{
    Address, AddressBuf, Command, Credentials, Domain, Host, Malformed, Method, Reply, ReplyCode, Request,
    client, server,
};

fn value<'a, T: Arbitrary<'a>>(input: &'a [u8]) -> Option<T> {
    T::arbitrary(&mut Unstructured::new(input)).ok()
}

/// Writes the message that `input` gives, if it does, and reads it back.
fn round_trip<'a, T: Arbitrary<'a> + Encode>(input: &'a [u8], is_same: impl Fn(&T, &[u8]) -> Option<usize>) {
    if let Some(message) = value::<T>(input) {
        let mut octets = vec![0; message.encoded_len()];
        let len = message.encode_into(&mut octets).unwrap();
        assert_eq!(is_same(&message, &octets), Some(len));
    }
}

/// The octets of the message, if it was read and is `expected`.
fn same<T: PartialEq + Debug>(expected: &T, decoded: Result<Decoded<T>, Malformed>) -> Option<usize> {
    let (got, consumed) = decoded.unwrap().complete()?;
    assert_eq!(got, *expected);
    Some(consumed)
}

/// Many strings, each from a seed, and each long enough for every value.
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

/// What `describe` makes of the values that come.
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
fn every_kind_comes() {
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
fn every_configuration_comes() {
    let inputs: Vec<Vec<u8>> = inputs().collect();
    let bits = [false, true];
    let mut servers = Vec::new();
    let mut clients = Vec::new();
    for (a, b, c) in bits
        .iter()
        .flat_map(|a| bits.iter().flat_map(move |b| bits.map(move |c| (*a, *b, c))))
    {
        servers.push(
            server::Config::new()
                .with_empty_credentials(a)
                .with_control_bytes(b)
                .with_strict_reserved(c),
        );
        clients.push(
            client::Config::new()
                .with_optimistic(a)
                .with_strict_reserved(b)
                .with_strict_status_version(c),
        );
    }
    for config in servers {
        assert!(
            inputs.iter().any(|input| value(input) == Some(config)),
            "{config:?}"
        );
    }
    for config in clients {
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

/// A client with any `Auth` sends a greeting without `FF`, and credentials when it is asked for them.
#[test]
fn auth_keeps_its_promises() {
    let mut asked = 0;
    for input in inputs() {
        let Some(auth) = value::<client::Auth<'_>>(&input) else {
            continue;
        };
        let mut client = client::Handshake::new(&Request::new(Command::CONNECT, Address::UNSPECIFIED), auth);
        let client::Output::Transmit(transmit) = client.poll_output() else {
            panic!("a client speaks first");
        };
        let (greeting, _) = Greeting::decode(transmit.as_bytes()).unwrap().complete().unwrap();
        assert_eq!(greeting.methods().iter().count(), greeting.encoded_len() - 2);
        let password = greeting.methods().contains(Method::USERNAME_PASSWORD);
        transmit.sent_all();
        if password {
            asked += 1;
            assert_eq!(client.handle_input(&[5, 2]), 2);
            let client::Output::Transmit(transmit) = client.poll_output() else {
                panic!("the credentials are due");
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

/// That `T` says how many octets it takes, and takes no fewer and no more.
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
fn what_a_value_takes() {
    let inputs: Vec<Vec<u8>> = inputs().collect();
    takes::<Domain<'_>>(&inputs, (0, Some(257)));
    takes::<Methods<'_>>(&inputs, COUNTED);
    takes::<Credentials<'_>>(&inputs, (0, Some(512)));
    // Methods, then credentials if they are offered.
    takes::<client::Auth<'_>>(&inputs, (0, Some(769)));
    takes::<AddressBuf>(&inputs, Address::size_hint(0));
    keeps_to_its_hint::<Address<'_>>(&inputs);
    keeps_to_its_hint::<Greeting<'_>>(&inputs);
    keeps_to_its_hint::<Request<'_>>(&inputs);
    keeps_to_its_hint::<Frame<'_>>(&inputs);
    keeps_to_its_hint::<gssapi::ClientConfig>(&inputs);
    keeps_to_its_hint::<gssapi::ServerConfig>(&inputs);
}

/// of more octets than a token can have, it has as many as it can.
#[test]
fn the_longest_token() {
    let input = vec![7; 70_000];
    let token = gssapi::Token::arbitrary_take_rest(Unstructured::new(&input)).unwrap();
    assert_eq!(token.as_bytes(), &input[..65_535]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_message_comes_back(input in proptest::collection::vec(any::<u8>(), 0..700)) {
        round_trip(&input, |message, octets| same::<Greeting<'_>>(message, Greeting::decode(octets)));
        round_trip(&input, |message, octets| same::<Selection>(message, Selection::decode(octets)));
        round_trip(&input, |message, octets| same::<AuthStatus>(message, AuthStatus::decode(octets)));
        round_trip(&input, |message, octets| same::<Request<'_>>(message, Request::decode(octets)));
        round_trip(&input, |message, octets| same::<Reply<'_>>(message, Reply::decode(octets)));
        round_trip(&input, |message, octets| same::<Frame<'_>>(message, Frame::decode(octets)));
        round_trip(&input, |message: &Credentials<'_>, octets| {
            let (got, consumed) = Credentials::decode(octets).unwrap().complete()?;
            got.verify(message.username(), message.password()).then_some(consumed)
        });
        round_trip(&input, |message: &Header<'_>, octets| {
            (Datagram::decode(octets) == Ok(Datagram::new(*message, &[]))).then_some(octets.len())
        });
        if let Some(datagram) = value::<Datagram<'_>>(&input) {
            let mut octets = vec![0; datagram.encoded_len()];
            datagram.encode_into(&mut octets).unwrap();
            assert_eq!(Datagram::decode(&octets), Ok(datagram));
        }
    }
}

/// Uniform random bytes, as a fuzzer begins with.
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

/// Whether a default server that accepts everything is asked to CONNECT by this client.
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

/// Fewer than 5 % of inputs of 64 bytes or more give no value.
#[test]
fn arbitrary_uniform_input_gives_a_value() {
    let total = 5_000;
    let none = uniform(64..=600)
        .take(total)
        .filter(|input| value::<Handshakes<'_>>(input).is_none())
        .count();
    assert!(none * 20 < total, "{none} of {total}");
}

/// Half of the names are host names, and no name or field takes all that is left.
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

/// `Other` is what a server says of a command without a variant of its own.
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
}
