//! A handshake of either role, and what its caller wants and answers.

use std::num::NonZeroU8;

use sans_socks::client::{self, Auth};
use sans_socks::server;
use sans_socks::socks4::{self, UserId};
use sans_socks::{Address, Command, Machine as _, Method, Phase, ReplyCode, Request};

use super::{Caller, Due, Machine};

/// A server machine and the answers of its caller.
#[derive(Clone, Copy, Debug)]
pub struct Server<'a> {
    pub config: server::Config,
    /// Rejects every offer if empty.
    pub prefer: &'a [Method],
    pub verdict: Verdict,
    pub raw_negotiation: usize,
    pub reply: Result<Address<'a>, ReplyCode>,
    /// BIND's second reply.
    pub peer: Result<Address<'a>, ReplyCode>,
    /// Rejects by `reject_socks4` with this code, instead of the code in `reply` or `peer`.
    pub socks4_code: Option<socks4::ReplyCode>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Accept,
    Reject,
    RejectWith(NonZeroU8),
}

/// Accepts clients without authentication, and every request.
impl Default for Server<'_> {
    fn default() -> Self {
        Self {
            config: server::Config::new(),
            prefer: &[Method::NO_AUTHENTICATION],
            verdict: Verdict::Accept,
            raw_negotiation: 0,
            reply: Ok(Address::UNSPECIFIED),
            peer: Ok(Address::UNSPECIFIED),
            socks4_code: None,
        }
    }
}

/// A client machine and the wishes of its caller.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    pub request: Request<'a>,
    pub auth: Auth<'a>,
    pub config: client::Config,
    pub raw_negotiation: usize,
    /// Requests by version 4, with this user id.
    pub socks4: Option<UserId<'a>>,
}

impl<'a> Client<'a> {
    pub fn new(command: Command, address: Address<'a>) -> Self {
        Self {
            request: Request::new(command, address),
            auth: Auth::none(),
            config: client::Config::new(),
            raw_negotiation: 0,
            socks4: None,
        }
    }

    /// Requests by version 4.
    pub fn socks4(command: Command, address: Address<'a>, user_id: UserId<'a>) -> Self {
        Self {
            socks4: Some(user_id),
            ..Self::new(command, address)
        }
    }

    fn start(&self) -> client::Handshake {
        match self.socks4 {
            Some(user_id) => {
                client::Handshake::socks4(&self.request, user_id).expect("a request of version 4")
            }
            None => client::Handshake::with_config(&self.request, self.auth, self.config),
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub enum Script<'a> {
    Server(Server<'a>),
    Client(Client<'a>),
}

impl<'a> Script<'a> {
    pub fn start(&'a self) -> Box<dyn Machine + 'a> {
        match self {
            Self::Server(script) => Box::new(ServerMachine {
                handshake: server::Handshake::with_config(script.config),
                script,
            }),
            Self::Client(script) => Box::new(ClientMachine {
                handshake: script.start(),
                script,
            }),
        }
    }
}

struct ServerMachine<'a> {
    handshake: server::Handshake,
    script: &'a Server<'a>,
}

struct ClientMachine<'a> {
    handshake: client::Handshake,
    script: &'a Client<'a>,
}

impl Caller for ServerMachine<'_> {
    type Machine = server::Handshake;

    fn machine(&mut self) -> &mut Self::Machine {
        &mut self.handshake
    }

    fn output(&mut self) -> Due {
        self.handshake.poll_output().into()
    }

    fn decision(&mut self) -> Option<Due> {
        self.handshake.poll_decision().map(Due::from)
    }

    fn phase(&self) -> Option<Phase> {
        Some(self.handshake.phase())
    }

    fn raw_negotiation(&self) -> usize {
        self.script.raw_negotiation
    }

    fn reject_negotiation(&mut self) {
        let server::Output::Negotiate(negotiate) = self.handshake.poll_output() else {
            panic!("no pending negotiation");
        };
        negotiate.reject();
    }

    fn decide(&mut self) {
        use server::Output;

        match self.handshake.poll_output() {
            Output::SelectMethod(select) if self.script.prefer.is_empty() => select.reject(),
            Output::SelectMethod(select) => select.select_preferred(self.script.prefer),
            Output::Authenticate(authenticate) => match self.script.verdict {
                Verdict::Accept => authenticate.accept(),
                Verdict::Reject => authenticate.reject(),
                Verdict::RejectWith(status) => authenticate.reject_with(status),
            },
            Output::Negotiate(negotiate) => negotiate.accept(),
            Output::PendingRequest(pending) => match (self.script.reply, self.script.socks4_code) {
                (Err(_), Some(code)) => pending.reject_socks4(code),
                (Ok(bound), _) => pending.accept(bound),
                (Err(code), None) => pending.reject(code),
            },
            Output::PendingPeer(pending) => match (self.script.peer, self.script.socks4_code) {
                (Err(_), Some(code)) => pending.reject_socks4(code),
                (peer, _) => pending.answer(peer),
            },
            other => panic!("not a decision: {other:?}"),
        }
    }
}

impl Caller for ClientMachine<'_> {
    type Machine = client::Handshake;

    fn machine(&mut self) -> &mut Self::Machine {
        &mut self.handshake
    }

    fn output(&mut self) -> Due {
        self.handshake.poll_output().into()
    }

    fn decision(&mut self) -> Option<Due> {
        self.handshake.poll_decision().map(Due::from)
    }

    fn phase(&self) -> Option<Phase> {
        Some(self.handshake.phase())
    }

    fn raw_negotiation(&self) -> usize {
        self.script.raw_negotiation
    }

    fn reject_negotiation(&mut self) {
        let client::Output::Negotiate(negotiate) = self.handshake.poll_output() else {
            panic!("no pending negotiation");
        };
        negotiate.reject();
    }

    fn decide(&mut self) {
        use client::Output;

        match self.handshake.poll_output() {
            Output::Negotiate(negotiate) => negotiate.accept(),
            Output::Bound(bound) => bound.wait_for_peer(),
            other => panic!("not a decision: {other:?}"),
        }
    }
}
