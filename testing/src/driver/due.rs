//! The next step of a machine, as a value that can be compared.

use sans_socks::client;
#[cfg(feature = "alloc")]
use sans_socks::gssapi;
use sans_socks::server::{self, Established};
use sans_socks::socks4::Version;
use sans_socks::{AddressBuf, Command, Error, Io, Malformed, Method, Phase, ReplyCode};

/// The next step of any machine, as a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
    Transmit(Vec<u8>),
    NeedInput(usize),
    SelectMethod(Vec<Method>),
    Authenticate(Vec<u8>, Vec<u8>),
    Negotiate(Method),
    PendingRequest(Command, AddressBuf),
    /// A request of version 4, with its user id.
    PendingSocks4Request(Command, AddressBuf, Vec<u8>),
    PendingPeer,
    Bound(AddressBuf),
    /// `server::Output::Established`.
    Served(Established),
    /// `client::Output::Established`.
    Connected(ReplyCode, AddressBuf),
    Closed(Error),
    /// A step of a GSSAPI context.
    Step,
    /// `gssapi::Output::Established`.
    Negotiated,
    /// `gssapi::Output::Closed`. The error itself belongs to the context.
    Failed(Option<Malformed>),
}

impl Due {
    pub fn is_end(&self) -> bool {
        matches!(
            self,
            Self::Served(_) | Self::Connected(..) | Self::Closed(_) | Self::Negotiated | Self::Failed(_)
        )
    }

    /// Returns the phase of a decision or an end of a handshake. Input and output can be in several phases.
    pub(super) fn phase(&self) -> Option<Phase> {
        match self {
            Self::Transmit(_) | Self::NeedInput(_) | Self::Step | Self::Negotiated | Self::Failed(_) => None,
            Self::SelectMethod(_) => Some(Phase::MethodSelection),
            Self::Authenticate(..) => Some(Phase::Authentication),
            Self::Negotiate(_) => Some(Phase::Negotiation),
            Self::PendingRequest(..) | Self::PendingSocks4Request(..) => Some(Phase::Reply),
            Self::PendingPeer | Self::Bound(_) => Some(Phase::SecondReply),
            Self::Served(_) | Self::Connected(..) => Some(Phase::Established),
            Self::Closed(_) => Some(Phase::Closed),
        }
    }

    /// Returns the phase of an unexpected end of input.
    pub fn eof_phase(&self) -> Option<Phase> {
        self.eof().map(|(phase, _)| phase)
    }

    /// Returns the phase of an unexpected end of input, and how many bytes of the message had been received.
    pub fn eof(&self) -> Option<(Phase, usize)> {
        match self {
            Self::Closed(Error::UnexpectedEof { phase, received, .. }) => Some((*phase, (*received).into())),
            _ => None,
        }
    }

    /// Returns whether it ends at a wrong version byte.
    pub(super) fn is_version_fault(&self) -> bool {
        matches!(
            self,
            Self::Closed(Error::Malformed(Malformed::Version { .. }))
                | Self::Failed(Some(Malformed::Version { .. }))
        )
    }
}

impl From<Io<'_>> for Due {
    fn from(io: Io<'_>) -> Self {
        match io {
            Io::Transmit(transmit) => Self::Transmit(transmit.as_bytes().to_vec()),
            Io::NeedInput { needed } => Self::NeedInput(needed.get()),
        }
    }
}

impl From<server::Decision<'_>> for Due {
    fn from(decision: server::Decision<'_>) -> Self {
        use server::Decision;

        match decision {
            Decision::SelectMethod(select) => Self::SelectMethod(select.offered().iter().collect()),
            Decision::Authenticate(authenticate) => {
                let credentials = authenticate.credentials();
                Self::Authenticate(credentials.username().to_vec(), credentials.password().to_vec())
            }
            Decision::Negotiate(negotiate) => Self::Negotiate(negotiate.method()),
            Decision::PendingRequest(pending) => {
                let request = pending.request();
                let (command, address) = (request.command, request.address.into());
                match (pending.version(), pending.user_id()) {
                    (Version::Socks5, None) => Self::PendingRequest(command, address),
                    (Version::Socks4, Some(user_id)) => {
                        Self::PendingSocks4Request(command, address, user_id.as_bytes().to_vec())
                    }
                    (version, user_id) => panic!("{version:?} with {user_id:?}"),
                }
            }
            Decision::PendingPeer(_) => Self::PendingPeer,
            Decision::Established(established) => Self::Served(established),
            Decision::Closed(error) => Self::Closed(error),
        }
    }
}

impl From<server::Output<'_>> for Due {
    fn from(output: server::Output<'_>) -> Self {
        use server::{Decision, Output};

        match output {
            Output::Transmit(transmit) => Io::Transmit(transmit).into(),
            Output::NeedInput { needed } => Io::NeedInput { needed }.into(),
            Output::SelectMethod(select) => Decision::SelectMethod(select).into(),
            Output::Authenticate(authenticate) => Decision::Authenticate(authenticate).into(),
            Output::Negotiate(negotiate) => Decision::Negotiate(negotiate).into(),
            Output::PendingRequest(pending) => Decision::PendingRequest(pending).into(),
            Output::PendingPeer(pending) => Decision::PendingPeer(pending).into(),
            Output::Established(established) => Decision::Established(established).into(),
            Output::Closed(error) => Decision::Closed(error).into(),
        }
    }
}

impl From<client::Decision<'_>> for Due {
    fn from(decision: client::Decision<'_>) -> Self {
        use client::Decision;

        match decision {
            Decision::Negotiate(negotiate) => Self::Negotiate(negotiate.method()),
            Decision::Bound(bound) => Self::Bound(bound.address().into()),
            Decision::Established(reply) => Self::Connected(reply.code, reply.address.into()),
            Decision::Closed(error) => Self::Closed(error),
        }
    }
}

impl From<client::Output<'_>> for Due {
    fn from(output: client::Output<'_>) -> Self {
        use client::{Decision, Output};

        match output {
            Output::Transmit(transmit) => Io::Transmit(transmit).into(),
            Output::NeedInput { needed } => Io::NeedInput { needed }.into(),
            Output::Negotiate(negotiate) => Decision::Negotiate(negotiate).into(),
            Output::Bound(bound) => Decision::Bound(bound).into(),
            Output::Established(reply) => Decision::Established(reply).into(),
            Output::Closed(error) => Decision::Closed(error).into(),
        }
    }
}

#[cfg(feature = "alloc")]
impl<C: gssapi::Context> From<gssapi::Decision<'_, C>> for Due {
    fn from(decision: gssapi::Decision<'_, C>) -> Self {
        use gssapi::{Decision, Error};

        match decision {
            Decision::Step(_) => Self::Step,
            Decision::Established => Self::Negotiated,
            Decision::Closed(Error::Malformed(fault)) => Self::Failed(Some(*fault)),
            Decision::Closed(_) => Self::Failed(None),
        }
    }
}

#[cfg(feature = "alloc")]
impl<C: gssapi::Context> From<gssapi::Output<'_, C>> for Due {
    fn from(output: gssapi::Output<'_, C>) -> Self {
        use gssapi::{Decision, Output};

        match output {
            Output::Transmit(transmit) => Io::Transmit(transmit).into(),
            Output::NeedInput { needed } => Io::NeedInput { needed }.into(),
            Output::Step(step) => Decision::Step(step).into(),
            Output::Established => Decision::<C>::Established.into(),
            Output::Closed(error) => Decision::<C>::Closed(error).into(),
        }
    }
}
