//! A guide to this crate. Begin with [`driving`]: all other pages use its terms.
//!
//! | page | answers |
//! |---|---|
//! | [`driving`] | how a handshake runs over blocking, asynchronous, readiness-based and completion-based I/O |
//! | [`server`] | which decisions a server makes |
//! | [`client`] | how to connect, authenticate and listen, and what success means |
//! | [`closing`] | why a refusal can be lost, and how to close so that it arrives |
//! | [`deadlines`] | which time limits to set in which phase |
//! | [`dialing`] | how a failed look-up, dial or bind becomes a reply code |
//! | [`access_lists`] | how to restrict the targets that clients may reach |
//! | [`udp_relay`] | how to relay datagrams in production, with one or many associations on a socket |
//! | [`chaining`] | how to connect through several proxies |
//! | [`errors`] | who caused an error, what it becomes, and at which level to log it |
//! | [`gssapi`] | how to put a GSSAPI layer between the socket and the handshake |
//! | [`fuzzing`] | how to fuzz your own code in 15 lines |
//! | [`no_std`] | how to run without an operating system or an allocator |
//!
//! The examples are compiled and run as tests. The directory `examples/` of the package has complete programs.

macro_rules! pages {
    ($($(#[doc = $title:literal])* $page:ident = $(picture $picture:literal)? $($part:literal)+;)*) => {$(
        $(#[doc = $title])*
        #[doc = ""]
        #[cfg_attr(all(feature = "std", feature = "bytes"), doc = concat!($(include_str!($picture), "\n",)? $(include_str!($part)),+))]
        #[cfg_attr(
            not(all(feature = "std", feature = "bytes")),
            doc = "This page exists only if the documentation is built with the features `std` and `bytes`."
        )]
        pub mod $page {}
    )*};
}

pages! {
    /// How to run a handshake, over any kind of I/O.
    driving = picture "../docs/pictures/handshake.svg" "guide/driving.md";
    /// A server, and its decisions.
    server = "guide/server.md";
    /// A client, from connecting to BIND.
    client = "guide/client.md";
    /// How to close so that a refusal arrives.
    closing = "guide/closing.md";
    /// Time limits for each phase.
    deadlines = "guide/deadlines.md";
    /// From the dial to the reply code.
    dialing = "guide/dialing.md";
    /// How to restrict the targets that clients may reach.
    access_lists = "guide/access_lists.md";
    /// A UDP relay for production.
    udp_relay = "guide/udp_relay.md";
    /// How to connect through several proxies.
    chaining = "guide/chaining.md";
    /// Errors: who caused them, what they become, and at which level to log them.
    errors = "guide/errors.md";
    /// How to put a GSSAPI layer between the socket and the handshake.
    gssapi =
        picture "../docs/pictures/layers.svg"
        "guide/gssapi/introduction.md"
        "guide/gssapi/negotiate.rs"
        "guide/gssapi/layer.md"
        "guide/gssapi/read.rs"
        "guide/gssapi/handshakes.md"
        "guide/gssapi/write.rs"
        "guide/gssapi/relay.md";
    /// How to fuzz your own code.
    fuzzing = "guide/fuzzing.md";
    /// How to run without an operating system or an allocator.
    no_std = "guide/no_std.md";
}
