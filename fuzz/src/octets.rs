//! The fuzzer's octets as choices.

use sans_socks::{Address, Domain};

/// The octets that have not been used; behind the last come zeros.
pub struct Octets<'a>(pub &'a [u8]);

impl<'a> Octets<'a> {
    pub fn octet(&mut self) -> u8 {
        match *self.0 {
            [first, ref rest @ ..] => {
                self.0 = rest;
                first
            }
            [] => 0,
        }
    }

    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes([self.octet(), self.octet()])
    }

    pub fn choose<T: Copy, const N: usize>(&mut self, choices: [T; N]) -> T {
        choices[usize::from(self.octet()) % N]
    }

    /// At most `len` of them.
    pub fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// The operations that the rest spells: each begins with an octet, and may use more.
    pub fn next_op(&mut self) -> Option<u8> {
        (!self.0.is_empty()).then(|| self.octet())
    }

    pub fn address(&mut self) -> Address<'static> {
        const LONG: &[u8] = &[b'x'; 255];
        let name = |octets: &'static [u8]| Domain::new(octets).expect("1 to 255 octets").into();
        let host = match self.octet() % 6 {
            0 => Address::UNSPECIFIED.host,
            1 => std::net::Ipv4Addr::LOCALHOST.into(),
            2 => std::net::Ipv6Addr::LOCALHOST.into(),
            3 => name(b"app.test"),
            4 => name(b"localhost\0.test"),
            _ => name(LONG),
        };
        Address {
            host,
            port: self.u16(),
        }
    }
}

/// Pieces of 1 to 15 octets, and here and there all the rest, as `seed` has it.
pub fn pieces(mut seed: u64, mut octets: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    while !octets.is_empty() {
        let len = match seed as usize & 0xf {
            0 => octets.len(),
            len => len,
        };
        seed = seed.rotate_right(4);
        let (piece, rest) = octets.split_at(len.min(octets.len()));
        pieces.push(piece);
        octets = rest;
    }
    pieces
}
