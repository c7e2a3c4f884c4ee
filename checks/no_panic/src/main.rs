//! Proof that no panic is reachable from the bytes of a peer.
//!
//! Each function below takes any argument. Machines and tokens can have any value of their type, even one that no
//! handshake produces. `#[no_panic]` refers to a missing symbol where an unwinding panic would leave the function. Unless
//! the optimizer proves that none does, linking fails and names the function.
//!
//! The proof is for release builds. With `overflow-checks`, as in debug builds, an addition can panic.
//!
//! The section "Panics" in the documentation of the crate lists the functions that are left out, with the reasons.

use std::cmp::Ordering;
use std::hint::black_box;
use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU8, NonZeroUsize};
use std::str::Utf8Error;
use std::time::Duration;

use no_panic::no_panic;
use sans_socks::client::{self, Auth};
use sans_socks::gssapi::{
    self, ClientConfig, Context, Encapsulation, Frame, MessageType, Negotiator, Output, Progress, Protection,
    ProtectionLevel, ServerConfig, Services, Token,
};
use sans_socks::message::{AuthStatus, BufferTooSmall, Decoded, Encode, Greeting, Methods, Selection};
use sans_socks::server;
use sans_socks::socks4::{self, UserId};
use sans_socks::udp::{
    Association, ClientAssociation, Datagram, Discard, Header, Outcome, Reassembler, TooManyFragments,
    fragments, max_payload,
};
use sans_socks::{
    Address, AddressBuf, ApiMisuse, Command, Credentials, CredentialsBuf, Domain, Host, InvalidValue, Io,
    Machine, Malformed, Method, OtherProtocol, Phase, Reply, ReplyCode, Request, Transmit, Version,
};

/// Defines functions that must link only if no argument makes them panic.
macro_rules! cannot_panic {
    ($(
        $(#[$attribute:meta])*
        fn $name:ident $(<$lifetime:lifetime>)? ($($arg:ident: $type:ty),* $(,)?) $(-> $return:ty)? $body:block
    )*) => {
        $(
            $(#[$attribute])*
            #[no_panic]
            fn $name $(<$lifetime>)? ($($arg: $type),*) $(-> $return)? $body
        )*

        fn main() {
            $($(#[$attribute])* black_box($name as *const ());)*
        }
    };
}

type Fixed = Reassembler<Duration, [u8; 4096]>;
type Borrowed<'a> = Reassembler<Duration, &'a mut [u8]>;
type Growing = Reassembler<Duration, Vec<u8>>;
type FixedClient = ClientAssociation<Duration, [u8; 4096]>;
type GrowingClient = ClientAssociation<Duration, Vec<u8>>;

/// The context. It is the caller's code, so it is not checked.
struct Mechanism {
    services: Services,
    overhead: usize,
}

impl Context for Mechanism {
    type Error = u32;

    fn step(&mut self, _: Option<&[u8]>, _: &mut Vec<u8>) -> Result<Progress, u32> {
        Err(0)
    }

    fn services(&self) -> Services {
        self.services
    }

    fn max_plain(&self, _: Protection, max_token: usize) -> usize {
        max_token.saturating_sub(self.overhead)
    }

    fn wrap(&mut self, _: Protection, _: &[u8], _: &mut Vec<u8>) -> Result<Protection, u32> {
        Err(0)
    }

    fn unwrap(&mut self, _: &[u8], _: &mut Vec<u8>) -> Result<Protection, u32> {
        Err(0)
    }
}

cannot_panic! {
    // Decoders.

    fn decode_greeting(bytes: &[u8]) -> Result<Decoded<Greeting<'_>>, Malformed> { Greeting::decode(bytes) }
    fn decode_selection(bytes: &[u8]) -> Result<Decoded<Selection>, Malformed> { Selection::decode(bytes) }
    fn decode_credentials(bytes: &[u8]) -> Result<Decoded<Credentials<'_>>, Malformed> {
        Credentials::decode(bytes)
    }
    fn decode_credentials_allowing_empty(bytes: &[u8]) -> Result<Decoded<Credentials<'_>>, Malformed> {
        Credentials::decode_allowing_empty(bytes)
    }
    fn decode_status(bytes: &[u8]) -> Result<Decoded<AuthStatus>, Malformed> { AuthStatus::decode(bytes) }
    fn decode_request(bytes: &[u8]) -> Result<Decoded<Request<'_>>, Malformed> { Request::decode(bytes) }
    fn decode_reply(bytes: &[u8]) -> Result<Decoded<Reply<'_>>, Malformed> { Reply::decode(bytes) }
    fn decode_socks4_request(bytes: &[u8]) -> Result<Decoded<socks4::Request<'_>>, Malformed> {
        socks4::Request::decode(bytes)
    }
    fn decode_socks4_reply(bytes: &[u8]) -> Result<Decoded<socks4::Reply>, Malformed> {
        socks4::Reply::decode(bytes)
    }
    fn decode_datagram(bytes: &[u8]) -> Result<Datagram<'_>, Malformed> { Datagram::decode(bytes) }

    // Encoders.

    fn encode_greeting(it: &Greeting<'_>, out: &mut [u8]) -> Result<usize, BufferTooSmall> { it.encode_into(out) }
    fn encode_selection(it: &Selection, out: &mut [u8]) -> Result<usize, BufferTooSmall> { it.encode_into(out) }
    fn encode_credentials(it: &Credentials<'_>, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        it.encode_into(out)
    }
    fn encode_status(it: &AuthStatus, out: &mut [u8]) -> Result<usize, BufferTooSmall> { it.encode_into(out) }
    fn encode_request(it: &Request<'_>, out: &mut [u8]) -> Result<usize, BufferTooSmall> { it.encode_into(out) }
    fn encode_reply(it: &Reply<'_>, out: &mut [u8]) -> Result<usize, BufferTooSmall> { it.encode_into(out) }
    fn encode_socks4_request(it: &socks4::Request<'_>, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        it.encode_into(out)
    }
    fn encode_socks4_reply(it: &socks4::Reply, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        it.encode_into(out)
    }
    fn encode_header(it: &Header<'_>, out: &mut [u8]) -> Result<usize, BufferTooSmall> { it.encode_into(out) }
    fn encode_datagram(it: &Datagram<'_>, out: &mut [u8]) -> Result<usize, BufferTooSmall> { it.encode_into(out) }
    fn prepend_header(it: &Header<'_>, buf: &mut [u8], payload_start: usize) -> Result<usize, BufferTooSmall> {
        it.prepend(buf, payload_start)
    }
    fn encoded_lens(
        greeting: &Greeting<'_>,
        credentials: &Credentials<'_>,
        request: &Request<'_>,
        datagram: &Datagram<'_>
    ) -> [usize; 4] {
        [greeting.encoded_len(), credentials.encoded_len(), request.encoded_len(), datagram.encoded_len()]
    }

    // Values.

    fn new_greeting(methods: &[Method]) -> Result<Greeting<'_>, InvalidValue> { Greeting::new(methods) }
    fn methods_contain(methods: Methods<'_>, method: Method) -> bool { methods.contains(method) }
    fn methods_iterate(methods: Methods<'_>) -> Option<Method> { methods.iter().last() }
    fn methods_equal(methods: Methods<'_>, other: Methods<'_>) -> bool { methods == other }
    fn new_credentials<'a>(username: &'a [u8], password: &'a [u8]) -> Result<Credentials<'a>, InvalidValue> {
        Credentials::new(username, password)
    }
    fn verify_credentials(credentials: Credentials<'_>, username: &[u8], password: &[u8]) -> bool {
        credentials.verify(username, password)
    }
    fn own_credentials(credentials: Credentials<'_>) -> CredentialsBuf { credentials.into() }
    fn verify_owned_credentials(credentials: &CredentialsBuf, username: &[u8], password: &[u8]) -> bool {
        credentials.verify(username, password)
    }
    fn drop_owned_credentials(credentials: CredentialsBuf) { drop(credentials); }
    fn new_user_id(bytes: &[u8]) -> Result<UserId<'_>, InvalidValue> { UserId::new(bytes) }
    fn equal_user_ids(user_id: UserId<'_>, other: UserId<'_>) -> bool { user_id == other }
    fn new_socks4_request<'a>(
        command: Command,
        address: Address<'a>,
        user_id: UserId<'a>
    ) -> Result<socks4::Request<'a>, InvalidValue> {
        socks4::Request::new(command, address, user_id)
    }
    fn socks4_code_of(code: ReplyCode) -> socks4::ReplyCode { code.into() }
    fn code_of_socks4(code: socks4::ReplyCode) -> ReplyCode { code.into() }
    fn new_domain(name: &[u8]) -> Result<Domain<'_>, InvalidValue> { Domain::new(name) }
    fn domain_has_control_bytes(name: Domain<'_>) -> bool { name.has_control_bytes() }
    fn domain_to_str(name: Domain<'_>) -> Result<&str, Utf8Error> { name.to_str() }
    fn address_or_host(address: Address<'_>, ip: IpAddr) -> Address<'_> { address.or_host(ip) }
    fn address_to_socket_addr(address: &Address<'_>) -> Option<SocketAddr> { address.to_socket_addr() }
    fn own_address(address: Address<'_>) -> AddressBuf { address.into() }
    fn borrow_address(address: &AddressBuf) -> Address<'_> { address.as_address() }
    fn compare_addresses(a: &AddressBuf, b: &AddressBuf) -> Ordering { a.cmp(b) }
    fn equal_hosts(host: &Host<'_>, other: &Host<'_>) -> bool { host == other }
    fn guess_protocol(fault: &Malformed) -> Option<OtherProtocol> { fault.looks_like() }

    // The server.

    fn server_new(config: server::Config) -> server::Handshake { server::Handshake::with_config(config) }
    fn server_handle_input(machine: &mut server::Handshake, input: &[u8]) -> usize { machine.handle_input(input) }
    fn server_handle_eof(machine: &mut server::Handshake) { machine.handle_eof(); }
    fn server_poll_output(machine: &mut server::Handshake) -> server::Output<'_> { machine.poll_output() }
    fn server_machine_handle_input(machine: &mut server::Handshake, input: &[u8]) -> usize {
        Machine::handle_input(machine, input)
    }
    fn server_machine_handle_eof(machine: &mut server::Handshake) { Machine::handle_eof(machine); }
    fn server_poll_io(machine: &mut server::Handshake) -> Option<Io<'_>> { machine.poll_io() }
    fn server_poll_decision(machine: &mut server::Handshake) -> Option<server::Decision<'_>> {
        machine.poll_decision()
    }
    fn server_phase(machine: &server::Handshake) -> Phase { machine.phase() }
    fn server_method(machine: &server::Handshake) -> Option<Method> { machine.method() }
    fn server_offered(machine: &server::Handshake) -> Option<Methods<'_>> { machine.offered() }
    fn server_request(machine: &server::Handshake) -> Option<Request<'_>> { machine.request() }
    fn server_drop(machine: server::Handshake) { drop(machine); }
    fn transmit_as_bytes<'a>(token: &'a Transmit<'_>) -> &'a [u8] { token.as_bytes() }
    fn transmit_sent(token: Transmit<'_>, n: usize) { token.sent(n); }
    fn transmit_sent_all(token: Transmit<'_>) { token.sent_all(); }
    fn select_method_offered<'a>(token: &'a server::SelectMethod<'_>) -> Methods<'a> { token.offered() }
    fn select_method_select(token: server::SelectMethod<'_>, method: Method) -> Result<(), ApiMisuse> {
        token.select(method)
    }
    fn select_method_select_preferred(token: server::SelectMethod<'_>, preferred: &[Method]) {
        token.select_preferred(preferred);
    }
    fn select_method_reject(token: server::SelectMethod<'_>) { token.reject(); }
    fn authenticate_credentials<'a>(token: &'a server::Authenticate<'_>) -> Credentials<'a> { token.credentials() }
    fn authenticate_accept(token: server::Authenticate<'_>) { token.accept(); }
    fn authenticate_reject(token: server::Authenticate<'_>) { token.reject(); }
    fn authenticate_reject_with(token: server::Authenticate<'_>, status: NonZeroU8) { token.reject_with(status); }
    fn server_negotiate_method(token: &server::Negotiate<'_>) -> Method { token.method() }
    fn server_negotiate_accept(token: server::Negotiate<'_>) { token.accept(); }
    fn server_negotiate_reject(token: server::Negotiate<'_>) { token.reject(); }
    fn pending_request_request<'a>(token: &'a server::PendingRequest<'_>) -> Request<'a> { token.request() }
    fn pending_request_version(token: &server::PendingRequest<'_>) -> Version { token.version() }
    fn pending_request_user_id<'a>(token: &'a server::PendingRequest<'_>) -> Option<UserId<'a>> { token.user_id() }
    fn pending_request_accept(token: server::PendingRequest<'_>, bound: Address<'_>) { token.accept(bound); }
    fn pending_request_reject(token: server::PendingRequest<'_>, code: ReplyCode) { token.reject(code); }
    fn pending_request_reject_socks4(token: server::PendingRequest<'_>, code: socks4::ReplyCode) {
        token.reject_socks4(code);
    }
    fn pending_request_answer(token: server::PendingRequest<'_>, answer: Result<Address<'_>, ReplyCode>) {
        token.answer(answer);
    }
    fn pending_request_answer_socket(token: server::PendingRequest<'_>, answer: Result<SocketAddr, ReplyCode>) {
        token.answer(answer);
    }
    fn pending_peer_accept(token: server::PendingPeer<'_>, peer: Address<'_>) { token.accept(peer); }
    fn pending_peer_version(token: &server::PendingPeer<'_>) -> Version { token.version() }
    fn pending_peer_reject(token: server::PendingPeer<'_>, code: ReplyCode) { token.reject(code); }
    fn pending_peer_reject_socks4(token: server::PendingPeer<'_>, code: socks4::ReplyCode) {
        token.reject_socks4(code);
    }
    fn pending_peer_answer(token: server::PendingPeer<'_>, answer: Result<Address<'_>, ReplyCode>) {
        token.answer(answer);
    }

    // The client.

    fn new_auth<'a>(
        methods: &'a [Method],
        credentials: Option<Credentials<'a>>
    ) -> Result<Auth<'a>, InvalidValue> {
        Auth::new(methods, credentials)
    }
    fn client_new(request: &Request<'_>, auth: Auth<'_>, config: client::Config) -> client::Handshake {
        client::Handshake::with_config(request, auth, config)
    }
    fn client_new_by_default(request: &Request<'_>, auth: Auth<'_>) -> client::Handshake {
        client::Handshake::new(request, auth)
    }
    fn client_socks4(request: &Request<'_>, user_id: UserId<'_>) -> Result<client::Handshake, InvalidValue> {
        client::Handshake::socks4(request, user_id)
    }
    fn client_handle_input(machine: &mut client::Handshake, input: &[u8]) -> usize { machine.handle_input(input) }
    fn client_handle_eof(machine: &mut client::Handshake) { machine.handle_eof(); }
    fn client_poll_output(machine: &mut client::Handshake) -> client::Output<'_> { machine.poll_output() }
    fn client_machine_handle_input(machine: &mut client::Handshake, input: &[u8]) -> usize {
        Machine::handle_input(machine, input)
    }
    fn client_machine_handle_eof(machine: &mut client::Handshake) { Machine::handle_eof(machine); }
    fn client_poll_io(machine: &mut client::Handshake) -> Option<Io<'_>> { machine.poll_io() }
    fn client_poll_decision(machine: &mut client::Handshake) -> Option<client::Decision<'_>> {
        machine.poll_decision()
    }
    fn client_phase(machine: &client::Handshake) -> Phase { machine.phase() }
    fn client_method(machine: &client::Handshake) -> Option<Method> { machine.method() }
    fn client_drop(machine: client::Handshake) { drop(machine); }
    fn client_negotiate_method(token: &client::Negotiate<'_>) -> Method { token.method() }
    fn client_negotiate_accept(token: client::Negotiate<'_>) { token.accept(); }
    fn client_negotiate_reject(token: client::Negotiate<'_>) { token.reject(); }
    fn bound_address<'a>(token: &'a client::Bound<'_>) -> Address<'a> { token.address() }
    fn bound_wait_for_peer(token: client::Bound<'_>) { token.wait_for_peer(); }

    // UDP.

    // `Association::new` and `ClientAssociation::with_reassembler` are left out: they call `Address::canonical`.
    fn association_admits(association: &Association, source: SocketAddr) -> bool { association.admits(source) }
    fn association_accept<'a>(
        association: &mut Association,
        source: SocketAddr,
        datagram: &'a [u8]
    ) -> Result<Datagram<'a>, Discard> {
        association.accept(source, datagram)
    }
    fn association_client(association: &Association) -> Option<SocketAddr> { association.client() }
    fn client_association_relay(it: &FixedClient) -> SocketAddr { it.relay() }
    fn client_association_max_payload(it: &FixedClient, to: &Address<'_>) -> usize { it.max_payload(to) }
    fn client_association_admits(it: &FixedClient, source: SocketAddr) -> bool { it.admits(source) }
    fn client_association_accept<'a>(
        it: &'a mut FixedClient,
        now: Duration,
        source: SocketAddr,
        datagram: &'a [u8]
    ) -> Outcome<'a> {
        it.accept(now, source, datagram)
    }
    fn client_association_poll_timeout(it: &FixedClient) -> Option<Duration> { it.poll_timeout() }
    fn client_association_handle_timeout(it: &mut FixedClient, now: Duration) { it.handle_timeout(now); }
    fn growing_client_association_accept<'a>(
        it: &'a mut GrowingClient,
        now: Duration,
        source: SocketAddr,
        datagram: &'a [u8]
    ) -> Outcome<'a> {
        it.accept(now, source, datagram)
    }
    fn fixed_handle_datagram<'a>(it: &'a mut Fixed, now: Duration, datagram: Datagram<'a>) -> Outcome<'a> {
        it.handle_datagram(now, datagram)
    }
    fn fixed_poll_timeout(it: &Fixed) -> Option<Duration> { it.poll_timeout() }
    fn fixed_handle_timeout(it: &mut Fixed, now: Duration) { it.handle_timeout(now); }
    fn fixed_reset(it: &mut Fixed) { it.reset(); }
    fn fixed_limits(it: Fixed, timeout: Duration, bytes: usize) -> Fixed {
        it.with_timeout(timeout).with_max_datagram(bytes)
    }
    fn borrowed_new(storage: &mut [u8]) -> Borrowed<'_> { Reassembler::with_storage(storage) }
    fn borrowed_handle_datagram<'a>(
        it: &'a mut Borrowed<'_>,
        now: Duration,
        datagram: Datagram<'a>
    ) -> Outcome<'a> {
        it.handle_datagram(now, datagram)
    }
    fn borrowed_poll_timeout(it: &Borrowed<'_>) -> Option<Duration> { it.poll_timeout() }
    fn borrowed_handle_timeout(it: &mut Borrowed<'_>, now: Duration) { it.handle_timeout(now); }
    fn borrowed_reset(it: &mut Borrowed<'_>) { it.reset(); }
    fn growing_handle_datagram<'a>(it: &'a mut Growing, now: Duration, datagram: Datagram<'a>) -> Outcome<'a> {
        it.handle_datagram(now, datagram)
    }
    fn growing_limits(it: Growing, timeout: Duration, bytes: usize) -> Growing {
        it.with_timeout(timeout).with_max_datagram(bytes)
    }
    fn growing_buffered(it: &Growing) -> usize { it.buffered() }
    fn growing_poll_timeout(it: &Growing) -> Option<Duration> { it.poll_timeout() }
    fn growing_handle_timeout(it: &mut Growing, now: Duration) { it.handle_timeout(now); }
    fn growing_drop(it: Growing) { drop(it); }
    fn growing_reset(it: &mut Growing) { it.reset(); }
    fn cut_into_fragments<'a>(
        to: Address<'a>,
        payload: &'a [u8],
        max_payload: NonZeroUsize
    ) -> Result<Option<Datagram<'a>>, TooManyFragments> {
        Ok(fragments(to, payload, max_payload)?.last())
    }
    fn datagram_max_payload(limit: usize, address: &Address<'_>) -> usize { max_payload(limit, address) }

    // GSSAPI.

    fn decode_frame(bytes: &[u8]) -> Result<Decoded<Frame<'_>>, Malformed> { Frame::decode(bytes) }
    fn encode_frame(it: &Frame<'_>, out: &mut [u8]) -> Result<usize, BufferTooSmall> { it.encode_into(out) }
    fn new_token(bytes: &[u8]) -> Result<Token<'_>, InvalidValue> { Token::new(bytes) }
    fn new_message_type(byte: u8) -> Option<MessageType> { MessageType::new(byte) }
    fn new_protection_level(byte: u8) -> Option<ProtectionLevel> { ProtectionLevel::new(byte) }
    fn negotiator_new(context: Mechanism, config: ClientConfig) -> Negotiator<Mechanism> {
        Negotiator::client(context, config)
    }
    fn server_config(levels: &[ProtectionLevel], clear: bool) -> ServerConfig {
        ServerConfig::new().with_allowed(levels).with_clear(clear)
    }
    fn client_config(level: ProtectionLevel, levels: &[ProtectionLevel]) -> ClientConfig {
        ClientConfig::new(level).with_accepted(levels)
    }
    fn negotiator_drop(it: Negotiator<Mechanism>) { drop(it); }
    fn encapsulation_drop(it: Encapsulation<Mechanism>) { drop(it); }
    fn negotiator_handle_eof(it: &mut Negotiator<Mechanism>) { it.handle_eof(); }
    fn negotiator_poll_output(it: &mut Negotiator<Mechanism>) -> Output<'_, Mechanism> { it.poll_output() }
    fn negotiator_poll_io(it: &mut Negotiator<Mechanism>) -> Option<Io<'_>> { it.poll_io() }
    fn negotiator_poll_decision(it: &mut Negotiator<Mechanism>) -> Option<gssapi::Decision<'_, Mechanism>> {
        it.poll_decision()
    }
    fn negotiator_into_encapsulation(it: Negotiator<Mechanism>) -> bool { it.into_encapsulation().is_ok() }
    fn encapsulation_new(context: Mechanism, level: ProtectionLevel) -> Encapsulation<Mechanism> {
        Encapsulation::new(context, level)
    }
    fn encapsulation_max_plain(it: &Encapsulation<Mechanism>, max_frame: usize) -> usize {
        it.max_plain(max_frame)
    }
    fn encapsulation_handle_eof(it: &mut Encapsulation<Mechanism>) -> bool { it.handle_eof().is_ok() }

    // This must not link.

    #[cfg(feature = "negative-control")]
    fn negative_control(bytes: &[u8], at: usize) -> u8 { bytes[at] }
}
