//! The code points of one byte: methods, commands, reply codes and the RFC 1929 status.
//!
//! Each is a newtype over its byte, not an enum with an `Unknown` variant. So each byte has exactly one representation,
//! and unknown bytes are kept.

/// Defines a code point: the newtype, its constants, its conversions and its formatting.
macro_rules! code_point {
    (
        $(#[$doc:meta])*
        $type:ident($unnamed:literal) {
            $( $(#[$const_doc:meta])* $name:ident = $byte:literal, $text:literal; )*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(u8);

        impl $type {
            $( $(#[$const_doc])* pub const $name: Self = Self($byte); )*

            #[cfg(feature = "arbitrary")]
            pub(crate) const NAMED: &'static [Self] = &[$( Self::$name ),*];

            /// Creates the code point of a byte. Every byte is valid.
            #[inline]
            #[must_use]
            pub const fn new(byte: u8) -> Self {
                Self(byte)
            }

            /// Returns the byte.
            #[inline]
            #[must_use]
            pub const fn get(self) -> u8 {
                self.0
            }

            /// Returns the name of the constant, or `None` if the code point has no name.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $( Self::$name => Some(stringify!($name)), )*
                    _ => None,
                }
            }
        }

        /// Parses the name of a constant, in upper or lower case, or a number: decimal, or hexadecimal after `0x`.
        ///
        /// # Errors
        ///
        /// [`ParseCodePointError`](crate::ParseCodePointError) for anything else.
        impl core::str::FromStr for $type {
            type Err = crate::ParseCodePointError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $( if text.eq_ignore_ascii_case(stringify!($name)) { return Ok(Self::$name); } )*
                crate::code_point::byte_of(text).map(Self)
            }
        }

        impl From<u8> for $type {
            #[inline]
            fn from(byte: u8) -> Self {
                Self(byte)
            }
        }

        impl From<$type> for u8 {
            #[inline]
            fn from(code: $type) -> Self {
                code.0
            }
        }

        /// Prints the name of the constant. If there is none, prints the name of the type and the byte in hexadecimal.
        impl core::fmt::Debug for $type {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match *self {
                    $( Self::$name => f.write_str(stringify!($name)), )*
                    Self(byte) => write!(f, concat!(stringify!($type), "({:#04x})"), byte),
                }
            }
        }

        /// Prints the meaning in words.
        impl core::fmt::Display for $type {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match *self {
                    $( Self::$name => f.pad($text), )*
                    Self(byte) => write!(f, concat!($unnamed, " {:#04x}"), byte),
                }
            }
        }

        impl core::fmt::LowerHex for $type {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                core::fmt::LowerHex::fmt(&self.0, f)
            }
        }

        impl core::fmt::UpperHex for $type {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                core::fmt::UpperHex::fmt(&self.0, f)
            }
        }
    };
}

pub(crate) use code_point;

/// Text that is neither the name of a code point nor its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("unknown code point, expected the name of a constant or a number from 0 to 255")]
pub struct ParseCodePointError(());

/// Parses a number from 0 to 255.
pub(crate) fn byte_of(text: &str) -> Result<u8, ParseCodePointError> {
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    // `from_str_radix` would accept a sign.
    if digits.starts_with('+') {
        return Err(ParseCodePointError(()));
    }
    u8::from_str_radix(digits, radix).map_err(|_| ParseCodePointError(()))
}

code_point! {
    /// METHOD: how a client may authenticate, [RFC 1928 §3] and IANA's "SOCKS Methods".
    ///
    /// IANA assigns `03` to `7F`; `80` to `FE` are for private use.
    ///
    /// ```
    /// use sans_socks::Method;
    ///
    /// assert_eq!(Method::new(0x02), Method::USERNAME_PASSWORD);
    /// assert_eq!(format!("{:?} {:?}", Method::GSSAPI, Method::new(0x80)), "GSSAPI Method(0x80)");
    /// assert_eq!("username_password".parse(), Ok(Method::USERNAME_PASSWORD));
    /// assert_eq!("0x80".parse(), Ok(Method::new(0x80)));
    /// ```
    ///
    /// [RFC 1928 §3]: https://www.rfc-editor.org/rfc/rfc1928#section-3
    Method("method") {
        /// `00`: no authentication required.
        NO_AUTHENTICATION = 0x00, "no authentication";
        /// `01`: GSSAPI, RFC 1961.
        GSSAPI = 0x01, "GSSAPI";
        /// `02`: username and password, RFC 1929.
        USERNAME_PASSWORD = 0x02, "username/password";
        /// `03`: Challenge-Handshake Authentication Protocol.
        CHAP = 0x03, "CHAP";
        /// `05`: Challenge-Response Authentication Method.
        CRAM = 0x05, "CRAM";
        /// `06`: Secure Sockets Layer.
        SSL = 0x06, "SSL";
        /// `07`: NDS authentication.
        NDS = 0x07, "NDS";
        /// `08`: Multi-Authentication Framework.
        MAF = 0x08, "MAF";
        /// `09`: JSON Parameter Block.
        JSON_PARAMETER_BLOCK = 0x09, "JSON parameter block";
        /// `FF`: none of the offered methods is acceptable. A client cannot offer it.
        NO_ACCEPTABLE = 0xff, "no acceptable method";
    }
}

impl Method {
    /// Returns whether the method is for private use, `80` to `FE` ([RFC 1928 §3]).
    ///
    /// [RFC 1928 §3]: https://www.rfc-editor.org/rfc/rfc1928#section-3
    #[inline]
    #[must_use]
    pub const fn is_private(self) -> bool {
        matches!(self.0, 0x80..=0xfe)
    }
}

code_point! {
    /// CMD: the client's command, [RFC 1928 §4], with Tor's two extensions.
    ///
    /// ```
    /// use sans_socks::Command;
    ///
    /// assert_eq!(Command::new(1), Command::CONNECT);
    /// assert_eq!("udp_associate".parse(), Ok(Command::UDP_ASSOCIATE));
    /// assert_eq!(Command::new(0x80).to_string(), "command 0x80"); // unknown, and kept
    /// ```
    ///
    /// [RFC 1928 §4]: https://www.rfc-editor.org/rfc/rfc1928#section-4
    Command("command") {
        /// `01`: a TCP connection to the address.
        CONNECT = 0x01, "CONNECT";
        /// `02`: a listening socket for one connection from the address. With `0.0.0.0`, any peer may connect.
        BIND = 0x02, "BIND";
        /// `03`: a relay for UDP datagrams.
        UDP_ASSOCIATE = 0x03, "UDP ASSOCIATE";
        /// `F0`: Tor's look-up of a name. The answer's BND.ADDR is the address.
        RESOLVE = 0xf0, "RESOLVE";
        /// `F1`: Tor's look-up of an address. The answer's BND.ADDR is the name.
        RESOLVE_PTR = 0xf1, "RESOLVE_PTR";
    }
}

code_point! {
    /// REP: the outcome of a request, [RFC 1928 §6], with Tor's extended errors.
    ///
    /// Only `00` is success. `09` to `FF` are failures that RFC 1928 does not assign, and are kept unchanged.
    ///
    /// ```
    /// use sans_socks::ReplyCode;
    ///
    /// assert_eq!(ReplyCode::HOST_UNREACHABLE.get(), 4);
    /// assert_eq!(ReplyCode::new(5).to_string(), "connection refused");
    /// assert!(!ReplyCode::new(0xa0).is_success());
    /// ```
    ///
    /// [RFC 1928 §6]: https://www.rfc-editor.org/rfc/rfc1928#section-6
    ReplyCode("reply code") {
        /// `00`: succeeded.
        SUCCEEDED = 0x00, "succeeded";
        /// `01`: general SOCKS server failure.
        GENERAL_FAILURE = 0x01, "general SOCKS server failure";
        /// `02`: connection not allowed by ruleset.
        NOT_ALLOWED = 0x02, "connection not allowed by ruleset";
        /// `03`: network unreachable.
        NETWORK_UNREACHABLE = 0x03, "network unreachable";
        /// `04`: host unreachable. Most servers also send it for a name that does not resolve.
        HOST_UNREACHABLE = 0x04, "host unreachable";
        /// `05`: connection refused.
        CONNECTION_REFUSED = 0x05, "connection refused";
        /// `06`: TTL expired. Some servers also send it for a timeout.
        TTL_EXPIRED = 0x06, "TTL expired";
        /// `07`: command not supported.
        COMMAND_NOT_SUPPORTED = 0x07, "command not supported";
        /// `08`: address type not supported.
        ADDRESS_TYPE_NOT_SUPPORTED = 0x08, "address type not supported";
        /// `F0` (Tor): the onion service's descriptor was not found.
        ONION_DESCRIPTOR_NOT_FOUND = 0xf0, "onion service descriptor not found";
        /// `F1` (Tor): the onion service's descriptor is invalid.
        ONION_DESCRIPTOR_INVALID = 0xf1, "onion service descriptor invalid";
        /// `F2` (Tor): no introduction to the onion service succeeded.
        ONION_INTRODUCTION_FAILED = 0xf2, "onion service introduction failed";
        /// `F3` (Tor): no rendezvous with the onion service succeeded.
        ONION_RENDEZVOUS_FAILED = 0xf3, "onion service rendezvous failed";
        /// `F4` (Tor): the onion service requires client authorisation.
        ONION_CLIENT_AUTH_MISSING = 0xf4, "onion service client authorisation missing";
        /// `F5` (Tor): the onion service refused the client authorisation.
        ONION_CLIENT_AUTH_WRONG = 0xf5, "onion service client authorisation wrong";
        /// `F6` (Tor): the onion address is invalid.
        ONION_ADDRESS_INVALID = 0xf6, "onion address invalid";
        /// `F7` (Tor): the introduction to the onion service timed out.
        ONION_INTRODUCTION_TIMED_OUT = 0xf7, "onion service introduction timed out";
    }
}

impl ReplyCode {
    /// Returns whether this is `00`. Everything else is a failure, named or not.
    #[inline]
    #[must_use]
    pub const fn is_success(self) -> bool {
        self.0 == Self::SUCCEEDED.0
    }
}

code_point! {
    /// STATUS: a server's answer to credentials, [RFC 1929 §2].
    ///
    /// The message has two bytes. Only `00` is success. Deployed servers send `01`, `02` or `FF` on failure. The server must
    /// then close the connection.
    ///
    /// ```text
    /// +----+--------+
    /// |VER | STATUS |
    /// +----+--------+
    /// | 01 |   1    |
    /// +----+--------+
    /// ```
    ///
    /// ```
    /// use sans_socks::message::AuthStatus;
    ///
    /// let (status, consumed) = AuthStatus::decode(&[1, 0])?.complete().unwrap();
    /// assert_eq!((status, consumed), (AuthStatus::SUCCESS, 2));
    /// # Ok::<(), sans_socks::Malformed>(())
    /// ```
    ///
    /// [RFC 1929 §2]: https://www.rfc-editor.org/rfc/rfc1929#section-2
    AuthStatus("authentication status") {
        /// `00`: the credentials were accepted.
        SUCCESS = 0x00, "success";
        /// `01`: the credentials were rejected.
        FAILURE = 0x01, "failure";
    }
}

impl AuthStatus {
    /// Returns whether this is `00`.
    #[inline]
    #[must_use]
    pub const fn is_success(self) -> bool {
        self.0 == Self::SUCCESS.0
    }
}
