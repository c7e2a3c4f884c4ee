/// Sends and reads until there is a decision. Bytes read beyond that stay in `carry`.
pub async fn advance<'m, M: sans_socks::Machine>(
    machine: &'m mut M,
    stream: &mut (impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin),
    carry: &mut bytes::BytesMut,
) -> std::io::Result<M::Decision<'m>> {
    use sans_socks::Io;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    while let Some(io) = machine.poll_io() {
        match io {
            Io::Transmit(mut transmit) => stream.write_all_buf(&mut transmit).await?,
            Io::NeedInput { .. } => {
                stream.flush().await?;
                if carry.is_empty() && stream.read_buf(carry).await? == 0 {
                    machine.handle_eof();
                }
                machine.handle_buf(carry);
            }
        }
    }
    stream.flush().await?;
    let decision = machine.poll_decision();
    debug_assert!(decision.is_some(), "a machine has input, output or a decision");
    decision.ok_or_else(|| std::io::ErrorKind::Other.into())
}
