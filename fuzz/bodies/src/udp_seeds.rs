//! The seeds of `udp_ops`, written as operations. `SANS_SOCKS_WRITE_SEEDS=1 cargo test -p sans-socks-fuzz-bodies --features
//! arbitrary,bytes udp_seeds` writes the files. A finding is added here, as it was printed.

use std::collections::BTreeMap;

use sans_socks_testing::vectors::vectors_of;

use super::encoded::{Encoded, check, encoded};
use super::udp_ops::{Config, Ip, Memory, Op, Port, Requested, Scenario, Source, TableOp, To, Wire};

encoded! {
    enum Scenario {
        Relay { config, peer, requested, memory, ops }
        Table { limit, ops }
        Client { bound, proxy, proxy_host, memory, ops }
    }
    enum Op { Usual { wire } From { source, wire } Wait { ms } Tick { ms } Reset {} }
    enum TableOp { Insert { key, peer, requested, config } Remove { key } From { source, wire } }
    enum Memory { Vec {} Array {} Slice {} }
    enum Wire { Next { last, len } Again { flip } Built { reserved, frag, to, len } Raw { len, bytes } }
    enum Ip { V4 {} Mapped {} OtherV4 {} V6 {} Link2 {} Link3 {} LinkUnscoped {} }
    enum Port { First {} Second {} Zero {} }
    enum Requested { Unspecified { port } Socket { source } Spelled { source } Name { port } }
    enum To { Usual {} V6 {} Name {} ControlBytes {} LongName {} }
}
encoded! {
    struct Config { any_port, fragments, control_bytes, strict_reserved }
    struct Source { ip, port }
}

const DEFAULT: Config = Config {
    any_port: false,
    fragments: false,
    control_bytes: false,
    strict_reserved: false,
};
const FRAGMENTS: Config = Config {
    fragments: true,
    ..DEFAULT
};
const ANY_PORT: Config = Config {
    any_port: true,
    ..DEFAULT
};
const UNSPECIFIED: Requested = Requested::Unspecified { port: Port::Zero };
const PEER: Source = source(Ip::V4, Port::First);

const fn source(ip: Ip, port: Port) -> Source {
    Source { ip, port }
}

/// A datagram with this FRAG and one byte of payload.
fn frag(frag: u8) -> Wire {
    built(frag, To::Usual, 1)
}

fn built(frag: u8, to: To, len: u8) -> Wire {
    let reserved = [0, 0];
    Wire::Built {
        reserved,
        frag,
        to,
        len,
    }
}

fn usual(wire: Wire) -> Op {
    Op::Usual { wire }
}

fn from(ip: Ip, port: Port, wire: Wire) -> Op {
    let source = source(ip, port);
    Op::From { source, wire }
}

/// A scenario of one association for each kind of memory.
fn of_relay(ops: &[Op]) -> [(&'static str, Scenario); 3] {
    let of = |memory| Scenario::Relay {
        config: FRAGMENTS,
        peer: PEER,
        requested: UNSPECIFIED,
        memory,
        ops: ops.to_vec(),
    };
    [
        ("vec", of(Memory::Vec)),
        ("array", of(Memory::Array)),
        ("slice", of(Memory::Slice)),
    ]
}

fn relay_with(config: Config, requested: Requested, ops: &[Op]) -> Scenario {
    Scenario::Relay {
        config,
        peer: PEER,
        requested,
        memory: Memory::Vec,
        ops: ops.to_vec(),
    }
}

fn client(bound: Requested, proxy: Source, proxy_host: bool, ops: &[Op]) -> Scenario {
    Scenario::Client {
        bound,
        proxy,
        proxy_host,
        memory: Memory::Vec,
        ops: ops.to_vec(),
    }
}

fn insert(key: u8, ip: Ip, requested: Requested, config: Config) -> TableOp {
    let peer = source(ip, Port::Second);
    TableOp::Insert {
        key,
        peer,
        requested,
        config,
    }
}

fn query(ip: Ip, port: Port) -> TableOp {
    let source = source(ip, port);
    TableOp::From {
        source,
        wire: frag(0),
    }
}

/// The cases of `docs/conformance/reassembly.md`, with their results.
fn cases() -> Vec<(&'static str, Vec<Op>)> {
    let usuals = |frags: &[u8]| frags.iter().map(|it| usual(frag(*it))).collect::<Vec<_>>();
    let up_to = |last: u8| {
        (1..=126)
            .chain([last])
            .map(|it| usual(built(it, To::Usual, 0)))
            .collect()
    };
    vec![
        ("F-01", usuals(&[0x01, 0x82])),
        ("F-02", usuals(&[0x81])),
        ("F-03", usuals(&[0x01, 0x02, 0x83])),
        ("F-04", usuals(&[0x01, 0x02, 0x01, 0x82])),
        (
            "F-05",
            vec![usual(frag(0x01)), Op::Tick { ms: 5000 }, usual(frag(0x82))],
        ),
        (
            "F-06",
            vec![usual(frag(0x01)), Op::Wait { ms: 4999 }, usual(frag(0x82))],
        ),
        (
            "F-07",
            vec![
                usual(frag(0x01)),
                usual(Wire::Again { flip: 0 }),
                usual(frag(0x82)),
            ],
        ),
        ("F-08", usuals(&[0x01, 0x03, 0x82])),
        ("F-09", usuals(&[0x02])),
        ("F-10", usuals(&[0x01, 0x80, 0x82])),
        ("F-11", usuals(&[0x01, 0x00, 0x82])),
        ("F-12", vec![usual(frag(0x01)), usual(built(0x82, To::V6, 1))]),
        ("F-13", up_to(0xff)),
        ("F-14", up_to(0x7f)),
        (
            "F-15",
            vec![
                usual(built(0x01, To::Usual, 17)),
                usual(built(0x82, To::Usual, 31)),
            ],
        ),
        ("F-17", usuals(&[0x01, 0x81])),
        ("F-19", vec![usual(built(0x01, To::Usual, 0)), usual(frag(0x82))]),
        // FRAG 01 always starts a sequence.
        ("F-20", usuals(&[0x01, 0x01, 0x82])),
        ("duplicate-of-another", usuals(&[0x01, 0x02, 0x02, 0x83])),
    ]
}

fn seeds() -> BTreeMap<String, Scenario> {
    let mut seeds = BTreeMap::new();
    for (name, ops) in cases() {
        for (memory, scenario) in of_relay(&ops) {
            seeds.insert(format!("{name}-{memory}"), scenario);
        }
    }
    for row in vectors_of("udp") {
        let datagram = row.input;
        let mut bytes = [0; 24];
        bytes[..datagram.len()].copy_from_slice(&datagram);
        let len = datagram.len() as u8;
        let ops = [usual(Wire::Raw { len, bytes })];
        seeds.insert(row.id.into(), relay_with(FRAGMENTS, UNSPECIFIED, &ops));
    }

    let named = |source| Requested::Socket { source };
    let spelled = |source| Requested::Spelled { source };
    let unused = |key, config| insert(key, Ip::V4, UNSPECIFIED, config);
    let strict = Config {
        strict_reserved: true,
        ..DEFAULT
    };
    let control_bytes = Config {
        control_bytes: true,
        ..DEFAULT
    };
    let reserved = Wire::Built {
        reserved: [0, 1],
        frag: 0,
        to: To::Usual,
        len: 1,
    };
    let control_name = [
        usual(built(0, To::ControlBytes, 1)),
        usual(built(0, To::LongName, 1)),
    ];
    let both_ports = [
        usual(frag(0)),
        from(Ip::V4, Port::Second, frag(0)),
        usual(frag(0)),
    ];
    let in_pieces = [
        usual(Wire::Next { last: false, len: 3 }),
        usual(Wire::Next { last: false, len: 3 }),
        usual(Wire::Next { last: true, len: 3 }),
        Op::Tick { ms: 0 },
        usual(built(0, To::Name, 9)),
    ];
    let more = [
        (
            "foreign",
            relay_with(
                FRAGMENTS,
                UNSPECIFIED,
                &[from(Ip::OtherV4, Port::First, frag(0)), usual(frag(0))],
            ),
        ),
        (
            "mapped",
            relay_with(
                DEFAULT,
                UNSPECIFIED,
                &[from(Ip::Mapped, Port::First, frag(0)), usual(frag(0))],
            ),
        ),
        (
            "no-fragments",
            relay_with(
                DEFAULT,
                UNSPECIFIED,
                &[usual(frag(0x01)), usual(frag(0x80)), usual(frag(0))],
            ),
        ),
        (
            "strict",
            relay_with(strict, UNSPECIFIED, &[usual(reserved.clone()), usual(frag(0))]),
        ),
        ("lenient", relay_with(DEFAULT, UNSPECIFIED, &[usual(reserved)])),
        (
            "control-bytes",
            relay_with(control_bytes, UNSPECIFIED, &control_name),
        ),
        (
            "no-control-bytes",
            relay_with(DEFAULT, UNSPECIFIED, &control_name),
        ),
        ("port-learned", relay_with(DEFAULT, UNSPECIFIED, &both_ports)),
        ("port-any", relay_with(ANY_PORT, named(PEER), &both_ports)),
        (
            "port-requested",
            relay_with(DEFAULT, named(source(Ip::Mapped, Port::Second)), &both_ports),
        ),
        ("port-of-a-name", relay_with(DEFAULT, spelled(PEER), &both_ports)),
        (
            "port-of-a-target",
            relay_with(DEFAULT, named(source(Ip::OtherV4, Port::Second)), &both_ports),
        ),
        (
            "port-0",
            relay_with(
                DEFAULT,
                UNSPECIFIED,
                &[from(Ip::V4, Port::Zero, frag(0)), usual(frag(0))],
            ),
        ),
        (
            "scopes",
            Scenario::Relay {
                config: DEFAULT,
                peer: source(Ip::LinkUnscoped, Port::First),
                requested: UNSPECIFIED,
                memory: Memory::Array,
                ops: vec![
                    from(Ip::Link2, Port::First, frag(0)),
                    from(Ip::Link3, Port::First, frag(0)),
                    usual(frag(0)),
                ],
            },
        ),
        ("client", client(named(PEER), PEER, false, &in_pieces)),
        (
            "client-unspecified",
            client(
                Requested::Unspecified { port: Port::Second },
                PEER,
                false,
                &in_pieces,
            ),
        ),
        (
            "client-name",
            client(Requested::Name { port: Port::First }, PEER, false, &[]),
        ),
        ("client-port-0", client(UNSPECIFIED, PEER, false, &[])),
        (
            "client-behind-nat",
            client(spelled(PEER), source(Ip::Mapped, Port::Second), true, &in_pieces),
        ),
        (
            "client-link-local",
            client(
                named(source(Ip::Link3, Port::First)),
                source(Ip::Link2, Port::Second),
                false,
                &in_pieces,
            ),
        ),
        (
            // A table that uses the first association that admits the source fails here: the unused one has the lower key.
            "table-second-datagram",
            Scenario::Table {
                limit: 2,
                ops: vec![
                    unused(2, DEFAULT),
                    query(Ip::V4, Port::First),
                    unused(1, DEFAULT),
                    query(Ip::V4, Port::First),
                    query(Ip::V4, Port::Second),
                ],
            },
        ),
        (
            "table-port-reused",
            Scenario::Table {
                limit: 1,
                ops: vec![
                    unused(1, DEFAULT),
                    query(Ip::V4, Port::First),
                    TableOp::Remove { key: 1 },
                    query(Ip::V4, Port::First),
                    unused(2, DEFAULT),
                    query(Ip::V4, Port::First),
                ],
            },
        ),
        (
            "table-full",
            Scenario::Table {
                limit: 1,
                ops: vec![
                    unused(1, DEFAULT),
                    unused(1, DEFAULT),
                    unused(2, DEFAULT),
                    query(Ip::V4, Port::First),
                ],
            },
        ),
        (
            "table-any-port",
            Scenario::Table {
                limit: 3,
                ops: vec![
                    unused(1, ANY_PORT),
                    unused(2, ANY_PORT),
                    query(Ip::V4, Port::First),
                    query(Ip::V4, Port::Second),
                    TableOp::Remove { key: 2 },
                    query(Ip::V4, Port::Second),
                    query(Ip::V4, Port::First),
                ],
            },
        ),
        (
            "table-scopes",
            Scenario::Table {
                limit: 4,
                ops: vec![
                    insert(1, Ip::Link2, UNSPECIFIED, DEFAULT),
                    insert(
                        2,
                        Ip::Link3,
                        named(source(Ip::LinkUnscoped, Port::First)),
                        DEFAULT,
                    ),
                    query(Ip::Link3, Port::First),
                    query(Ip::Link2, Port::First),
                    query(Ip::LinkUnscoped, Port::First),
                ],
            },
        ),
    ];
    seeds.extend(more.map(|(name, scenario)| (name.to_string(), scenario)));
    seeds
}

/// Each file has the content that its name promises, and there are no others.
#[test]
fn udp_seeds_are_the_operations_written_here() {
    check("udp_ops", seeds());
}
