//! The fuzzer's bytes as choices.

/// The bytes that have not been used. Zeros follow the last one.
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

    /// The next operation, which begins with this byte and may use more.
    pub fn next_op(&mut self) -> Option<u8> {
        (!self.0.is_empty()).then(|| self.octet())
    }
}

/// Pieces of 1 to 15 bytes, or of all the rest, chosen by `seed`.
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
