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
    (0..4096_u64).map(|seed| {
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
    let tokens = kinds(&inputs, |token: gssapi::Token<'_>| token.octets().len());
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
    let nec = |config: &gssapi::ClientConfig| *config == config.nec(true);
    assert_eq!(kinds(&inputs, |config| nec(&config)), bits);
    let clear = |config: &gssapi::ServerConfig| *config == config.allow_clear(true);
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

/// A count of 1 to 255 in an octet, and that many octets.
const COUNTED: (usize, Option<usize>) = (2, Some(256));

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
    takes::<Domain<'_>>(&inputs, COUNTED);
    takes::<Methods<'_>>(&inputs, COUNTED);
    takes::<Credentials<'_>>(&inputs, (4, Some(512)));
    // Methods, then credentials if they are offered.
    takes::<client::Auth<'_>>(&inputs, (2, Some(768)));
    takes::<AddressBuf>(&inputs, Address::size_hint(0));
    takes::<gssapi::Token<'_>>(&inputs, <&[u8]>::size_hint(0));
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
    assert_eq!(token.octets(), &input[..65_535]);
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
