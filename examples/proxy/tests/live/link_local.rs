//! IPv6 link-local addresses, which mean nothing without their scope.

use std::fs;
use std::io;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener, UdpSocket};

use sans_socks_proxy::Resolve;

use crate::common::{
    ANYONE, Association, BIND, CONNECT, LOCALHOST, PATIENCE, Proxy, Raw, UDP_ASSOCIATE, accept, datagram,
    expect, udp,
};

/// A link-local address of this host.
fn link_local() -> SocketAddrV6 {
    let table = fs::read_to_string("/proc/net/if_inet6").expect("Linux with IPv6");
    let mut addresses = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let line = addresses
        .find(|fields| fields[3] == "20")
        .expect("a link-local address");
    let ip = u128::from_str_radix(line[0], 16).expect("hexadecimal");
    let scope = u32::from_str_radix(line[1], 16).expect("hexadecimal");
    SocketAddrV6::new(Ipv6Addr::from_bits(ip), 0, 0, scope)
}

/// Resolves every name to the link-local address, with its scope.
struct LinkLocal(SocketAddrV6);

impl Resolve for LinkLocal {
    fn resolve(&self, _: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let mut address = self.0;
        address.set_port(port);
        Ok(vec![address.into()])
    }
}

fn proxy() -> (Proxy, SocketAddr) {
    let mut address = link_local();
    let args = [
        "--listen",
        "[::]:0",
        "--open",
        "--allow",
        "fe80::/10",
        "--allow",
        "127.0.0.1",
    ];
    let proxy = Proxy::with_resolver(&args, LinkLocal(address));
    address.set_port(proxy.address.port());
    (proxy, address.into())
}

#[test]
#[ignore = "needs an IPv6 link-local address"]
fn all_commands_work_over_a_link_local_address() {
    let (_proxy, address) = proxy();
    let listener = TcpListener::bind(link_local()).expect("it is local");
    let port = listener.local_addr().expect("it listens").port();
    let mut client = Raw::greeted(address).tunnel(("link-local.test", port));
    accept(&listener).send(b"x");
    client.expect(b"x");

    let mut client = Raw::greeted(address);
    client.request(BIND, ANYONE);
    let mut bound = client.expect_success();
    if let (SocketAddr::V6(bound), SocketAddr::V6(address)) = (&mut bound, address) {
        bound.set_scope_id(address.scope_id()); // the reply has no place for it
    }
    let mut peer = Raw::connect(bound);
    client.expect_success();
    peer.send(b"y");
    client.expect(b"y");

    let mut control = Raw::greeted(address);
    control.request(UDP_ASSOCIATE, ANYONE);
    let relay = control.expect_success();
    let (target, at) = udp(LOCALHOST);
    let socket = UdpSocket::bind(link_local()).expect("it is local");
    let relay = SocketAddrV6::new(*link_local().ip(), relay.port(), 0, link_local().scope_id());
    socket.send_to(&datagram(at, b"z"), relay).expect("local");
    assert_eq!(target.recv(&mut [0; 9]).expect("it arrives"), 1);
}

/// The name's address is the proxy's own, with its scope.
#[test]
#[ignore = "needs an IPv6 link-local address"]
fn proxy_is_refused_by_its_link_local_address() {
    let (_proxy, address) = proxy();
    let mut client = Raw::greeted(address);
    client.request(CONNECT, ("link-local.test", address.port()));
    client.expect_refusal(2);
}

/// Without the scope, the relay sockets did not look like the proxy's own. Through its own association, a client took over the
/// association of another.
#[test]
#[ignore = "needs an IPv6 link-local address"]
fn datagram_to_an_own_relay_socket_is_dropped() {
    let (proxy, address) = proxy();
    let socket = || {
        let socket = UdpSocket::bind(link_local()).expect("it is local");
        socket.set_read_timeout(Some(PATIENCE)).expect("a duration");
        socket
    };
    let mut control = Raw::greeted(address);
    control.request(UDP_ASSOCIATE, ANYONE);
    let mut relay = link_local();
    relay.set_port(control.expect_success().port());
    let far = Raw::greeted(SocketAddr::new(LOCALHOST, proxy.address.port()));
    let far = Association::of(far, LOCALHOST);
    // Datagrams to a known name are relayed in order.
    let known = socket();
    let port = known.local_addr().expect("bound").port();
    far.send(("link-local.test", port), b"x");
    expect(&known, b"x");
    let (target, at) = udp(LOCALHOST);
    let inner = datagram(at, b"through the far relay");
    far.send(("link-local.test", relay.port()), &inner);
    far.send(at, b"far");
    expect(&target, b"far");
    let near = socket();
    near.send_to(&datagram(at, b"near"), relay).expect("local");
    let outer = expect(&target, b"near");
    target.send_to(b"answer", outer).expect("loopback");
    expect(&near, &datagram(at, b"answer")); // the true client has it
}

/// The name's address has a scope, which the peer of a BIND and the target of a datagram need.
#[test]
#[ignore = "needs an IPv6 link-local address"]
fn scope_of_a_name_is_kept_for_peers_and_datagrams() {
    let (_proxy, address) = proxy();
    let mut client = Raw::greeted(address);
    client.request(BIND, ("link-local.test", 0));
    let bound = client.expect_success();
    let mut at = link_local();
    at.set_port(bound.port());
    let mut peer = Raw::connect(at.into());
    client.expect_success();
    peer.send(b"y");
    client.expect(b"y");

    let proxy = Proxy::with_resolver(&[], LinkLocal(link_local()));
    let association = Association::open(&proxy);
    let target = UdpSocket::bind(link_local()).expect("it is local");
    target.set_read_timeout(Some(PATIENCE)).expect("a duration");
    let port = target.local_addr().expect("bound").port();
    association.send(("link-local.test", port), b"z");
    expect(&target, b"z");
}
