use sans_socks::gssapi::{Context, Encapsulation};
use std::error::Error;
use std::io::{self, Read, Write};

/// A blocking stream under the layer.
pub struct Protected<S, C> {
    pub stream: S,
    pub layer: Encapsulation<C>,
    /// The bytes that were decapsulated and not yet read.
    pub plain: Vec<u8>,
}

impl<S: Read, C: Context<Error: Error + Send + Sync + 'static>> Read for Protected<S, C> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut chunk = [0; 4096];
        while self.plain.is_empty() {
            let mut wire = match self.stream.read(&mut chunk)? {
                0 => return Ok(self.layer.handle_eof().map(|()| 0)?),
                n => &chunk[..n],
            };
            while !wire.is_empty() {
                let consumed = self.layer.decapsulate(wire, &mut self.plain)?;
                wire = &wire[consumed..];
            }
        }
        let n = self.plain.as_slice().read(buf)?;
        self.plain.drain(..n);
        Ok(n)
    }
}
