/// A stream whose other end follows a script.
pub struct Script {
    /// What the peer sends, then the end.
    pub input: &'static [u8],
    /// What was sent to the peer.
    pub output: Vec<u8>,
}

impl Script {
    pub fn new(input: &'static [u8]) -> Self {
        Self { input, output: Vec::new() }
    }
}

impl std::io::Read for Script {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.input.read(buf)
    }
}

impl std::io::Write for Script {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.output.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
