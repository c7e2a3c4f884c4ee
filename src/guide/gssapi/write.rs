impl<S: Write, C: Context<Error: Error + Send + Sync + 'static>> Write for Protected<S, C> {
    fn write(&mut self, plain: &[u8]) -> io::Result<usize> {
        let mut wire = Vec::new();
        self.layer.encapsulate(plain, &mut wire)?;
        self.stream.write_all(&wire)?;
        Ok(plain.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
