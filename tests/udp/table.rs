//! Many associations on one socket. The table agrees with a simple model, and the obvious loop is wrong.

use core::cell::Cell;
use core::cmp::Ordering;
use core::net::{IpAddr, SocketAddr};
use std::collections::BTreeMap;
use std::rc::Rc;

use fastrand::Rng;
use sans_socks::udp::{Association, AssociationTable, Discard, TableError};
use sans_socks::{Address, Malformed};

const QUERY: &[u8] = b"\0\0\0\x01\xc6\x33\x64\x09\0\x35query";

fn socket(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn of_host(host: &str) -> Association {
    Association::new(
        SocketAddr::new(host.parse().unwrap(), 51000),
        &Address::UNSPECIFIED,
    )
}

/// A loop over all associations assigns the second datagram of the first client to the unused association, which locks out that
/// association's own client.
#[test]
fn table_second_datagram_of_a_client_stays_with_its_association() {
    let mut table = AssociationTable::new(8);
    // In the order of keys, the unused association is found first.
    table.insert(2, of_host("192.0.2.7")).unwrap();
    let first = socket("192.0.2.7:4000");
    assert_eq!(table.accept(first, QUERY).map(|(key, _)| key), Ok(2));
    table.insert(1, of_host("192.0.2.7")).unwrap();
    assert_eq!(table.accept(first, QUERY).map(|(key, _)| key), Ok(2));
    let second = socket("192.0.2.7:4001");
    assert_eq!(table.accept(second, QUERY).map(|(key, _)| key), Ok(1));
    assert_eq!(table.get(&1).and_then(Association::client), Some(second));
    assert_eq!(
        table.accept(socket("192.0.2.7:4002"), QUERY).map(|(key, _)| key),
        Err(Discard::Source)
    );
}

/// An association that waits for the datagram's port is preferred over one that waits for any.
#[test]
fn table_required_port_goes_before_a_learned_one() {
    let mut table = AssociationTable::new(8);
    let peer = socket("192.0.2.7:51000");
    table.insert("any", of_host("192.0.2.7")).unwrap();
    let required = Association::new(peer, &Address::from(socket("192.0.2.7:4000")));
    table.insert("required", required).unwrap();
    let key = table.accept(socket("192.0.2.7:4000"), QUERY).map(|(key, _)| key);
    assert_eq!(key, Ok("required"));
    let key = table.accept(socket("192.0.2.7:4001"), QUERY).map(|(key, _)| key);
    assert_eq!(key, Ok("any"));
}

#[test]
fn table_full_or_key_in_use_is_unchanged() {
    let mut table = AssociationTable::new(2);
    assert!(table.is_empty());
    table.insert(1, of_host("192.0.2.7")).unwrap();
    assert_eq!(table.insert(1, of_host("192.0.2.8")), Err(TableError::KeyInUse));
    table.insert(2, of_host("192.0.2.8")).unwrap();
    assert_eq!(table.insert(3, of_host("192.0.2.9")), Err(TableError::Full(2)));
    assert_eq!((table.len(), table.limit()), (2, 2));
    assert_eq!(
        table.accept(socket("192.0.2.9:1"), QUERY).map(|_| ()),
        Err(Discard::Source)
    );
    assert!(table.remove(&1).is_some());
    assert!(table.remove(&1).is_none());
    table.insert(3, of_host("192.0.2.9")).unwrap();
    assert!(table.accept(socket("192.0.2.9:1"), QUERY).is_ok());
}

/// After the removal of an association, another one can use its client's port.
#[test]
fn table_port_is_reused_after_removal() {
    let mut table = AssociationTable::new(4);
    let client = socket("192.0.2.7:4000");
    for key in 0..100 {
        table.insert(key, of_host("192.0.2.7")).unwrap();
        assert_eq!(table.accept(client, QUERY).map(|(key, _)| key), Ok(key));
        table.remove(&key).unwrap();
        assert_eq!(table.accept(client, QUERY).map(|_| ()), Err(Discard::Source));
    }
}

/// A malformed datagram assigns nothing.
#[test]
fn table_discard_changes_nothing() {
    let mut table = AssociationTable::new(4);
    table.insert(1, of_host("192.0.2.7")).unwrap();
    let malformed = table.accept(socket("192.0.2.7:4000"), b"\0\0\0").map(|_| ());
    assert_eq!(malformed, Err(Discard::Malformed(Malformed::Truncated)));
    assert_eq!(table.get(&1).and_then(Association::client), None);
    assert!(table.accept(socket("192.0.2.7:4001"), QUERY).is_ok());
}

/// Compares its keys, and counts the comparisons.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Counted(u32, Rc<Cell<usize>>);

impl PartialOrd for Counted {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Counted {
    fn cmp(&self, other: &Self) -> Ordering {
        self.1.set(self.1.get() + 1);
        self.0.cmp(&other.0)
    }
}

/// No association admits source port 0. A table that looked for one would ask all associations of the host.
#[test]
fn table_source_port_0_is_dropped_without_a_search() {
    let comparisons = Rc::new(Cell::new(0));
    let mut table = AssociationTable::new(1000);
    for key in 0..1000 {
        let association = of_host("192.0.2.7").with_any_port(key % 2 == 0);
        table
            .insert(Counted(key, comparisons.clone()), association)
            .unwrap();
    }
    let searched = |table: &mut AssociationTable<Counted>, source| {
        comparisons.set(0);
        let result = table.accept(socket(source), QUERY).map(|(key, _)| key.0);
        (result, comparisons.get())
    };
    assert_eq!(searched(&mut table, "192.0.2.7:0"), (Err(Discard::Source), 0));
    let (first, logarithmic) = searched(&mut table, "192.0.2.7:4000");
    assert_eq!(first, Ok(0));
    assert!((1..200).contains(&logarithmic), "{logarithmic}");
}

/// A link-local address on another link is another host.
#[test]
fn table_scopes_are_told_apart() {
    let mut table = AssociationTable::new(4);
    for scope in [2, 3] {
        let peer = socket(&format!("[fe80::7%{scope}]:51000"));
        table
            .insert(scope, Association::new(peer, &Address::UNSPECIFIED))
            .unwrap();
    }
    for _ in 0..2 {
        for scope in [3, 2] {
            let source = socket(&format!("[fe80::7%{scope}]:4000"));
            assert_eq!(table.accept(source, QUERY).map(|(key, _)| key), Ok(scope));
        }
    }
    let elsewhere = table.accept(socket("[fe80::7%4]:4000"), QUERY).map(|_| ());
    assert_eq!(elsewhere, Err(Discard::Source));
}

/// Of two clients that use any port, the older gets datagrams from a new port, even after it has moved.
#[test]
fn table_new_port_goes_to_the_oldest_client_of_any_port() {
    let mut table = AssociationTable::new(4);
    for key in [1, 2] {
        table
            .insert(key, of_host("192.0.2.7").with_any_port(true))
            .unwrap();
    }
    for (port, key) in [(4000, 1), (4001, 2), (4002, 1), (4003, 1), (4001, 2), (4000, 1)] {
        let source = socket(&format!("192.0.2.7:{port}"));
        assert_eq!(
            table.accept(source, QUERY).map(|(key, _)| key),
            Ok(key),
            "port {port}"
        );
        assert_eq!(table.get(&key).and_then(Association::client), Some(source));
    }
}

/// An association in the model. It does not use the crate's `Association`.
struct Entry {
    key: u32,
    host: (IpAddr, u32),
    required: Option<u16>,
    any_port: bool,
    client: Option<SocketAddr>,
}

/// Returns what identifies a host: its address, and for IPv6 also its link.
fn identity(source: SocketAddr) -> (IpAddr, u32) {
    let scope = match source {
        SocketAddr::V4(_) => 0,
        SocketAddr::V6(source) => source.scope_id(),
    };
    (source.ip().to_canonical(), scope)
}

/// The rule without an index: first the client's own association, then one that requires the port, then one without a client,
/// then one that accepts any port. Among equals, the oldest.
#[derive(Default)]
struct Model {
    entries: Vec<Entry>,
}

impl Model {
    fn accept(&mut self, source: SocketAddr) -> Option<u32> {
        let rank = |entry: &Entry| match (entry.client, entry.required) {
            _ if entry.host != identity(source) => None,
            (Some(client), _) if client.port() == source.port() => Some(0),
            (Some(_), _) => entry.any_port.then_some(3),
            (None, Some(required)) => (required == source.port()).then_some(1),
            (None, None) => Some(2),
        };
        let ranked = self
            .entries
            .iter_mut()
            .filter_map(|entry| Some((rank(entry)?, entry)));
        // `min_by_key` returns the first of equals.
        let (_, best) = ranked.min_by_key(|(rank, _)| *rank)?;
        if best.any_port {
            best.client = Some(source);
        } else {
            best.client.get_or_insert(source);
        }
        Some(best.key)
    }
}

/// Many clients of few hosts, reused ports, associations that are added and removed, and full tables.
#[test]
fn table_does_what_the_model_does() {
    let mut random = Rng::with_seed(1928);
    for round in 0..200 {
        let limit = random.usize(1..20);
        let mut table = AssociationTable::new(limit);
        let mut model = Model::default();
        let mut counts = BTreeMap::new();
        for step in 0..400_u32 {
            let hosts = [
                "192.0.2.7",
                "192.0.2.8",
                "[::ffff:192.0.2.7]",
                "[2001:db8::7]",
                "[fe80::7%2]",
                "[fe80::7%3]",
            ];
            let host = hosts[random.usize(..hosts.len())];
            let port = random.u16(4000..4006);
            let source = socket(&format!("{host}:{port}"));
            let what = match random.u8(..10) {
                0 | 1 => {
                    let required = (random.u8(..3) == 0).then_some(port);
                    let requested = required.map_or(Address::UNSPECIFIED, |_| source.into());
                    let mut peer = source;
                    peer.set_port(51000);
                    // An association that accepts any port does not require one.
                    let any_port = required.is_none() && random.u8(..4) == 0;
                    let association = Association::new(peer, &requested).with_any_port(any_port);
                    let result = table.insert(step, association);
                    let full = model.entries.len() >= limit;
                    assert_eq!(
                        result,
                        if full {
                            Err(TableError::Full(limit))
                        } else {
                            Ok(())
                        }
                    );
                    if !full {
                        model.entries.push(Entry {
                            key: step,
                            host: identity(source),
                            required,
                            any_port,
                            client: None,
                        });
                    }
                    if full { "full" } else { "inserted" }
                }
                2 if !model.entries.is_empty() => {
                    let index = random.usize(..model.entries.len());
                    let entry = model.entries.remove(index);
                    let removed = table.remove(&entry.key).expect("it was inserted");
                    assert_eq!(removed.client(), entry.client);
                    "removed"
                }
                _ => {
                    let stated = model.accept(source);
                    let got = table.accept(source, QUERY).map(|(key, _)| key).ok();
                    assert_eq!(got, stated, "round {round}, step {step}, {source}");
                    if got.is_some() { "accepted" } else { "dropped" }
                }
            };
            *counts.entry(what).or_insert(0) += 1;
            assert_eq!(table.len(), model.entries.len());
            for entry in &model.entries {
                assert_eq!(table.get(&entry.key).and_then(Association::client), entry.client);
            }
        }
        assert!(counts.len() >= 4, "{counts:?}");
    }
}
