//! hyper-util, its `SocksV5`: a tower `Service` around a connector, which here yields the stream.

use std::future::{Ready, ready};
use std::io::{Error, ErrorKind};
use std::mem;
use std::sync::LazyLock;
use std::task::{Context as Cx, Poll};

use http::Uri;
use hyper_util::client::legacy::connect::proxy::SocksV5;
use tower_service::Service;

use super::{CLIENT_ONLY, NO_DATAGRAMS};
use crate::job::{Job, Login, Script, Told};
use crate::peer::{Context, Peer, State, Witness};
use crate::stream::{Stream, drive};

pub struct HyperUtil;

static PROXY: LazyLock<Uri> = LazyLock::new(|| Uri::from_static("socks5://127.0.0.1:1080"));
static TARGET: LazyLock<Uri> = LazyLock::new(|| Uri::from_static("https://www.example.com:443"));

struct Connector(Option<Stream>);

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = Error;
    type Future = Ready<Result<Stream, Error>>;

    fn poll_ready(&mut self, _: &mut Cx<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        ready(self.0.take().ok_or_else(|| ErrorKind::NotConnected.into()))
    }
}

impl Peer for HyperUtil {
    const NAME: &str = "hyper-util";
    const VERSION: &str = "0.1.21";
    const HOW: &str = "`SocksV5`: an async client, boxed; does not return where the proxy is bound";
    const MISSING: &[(&[Job], &str)] = &[CLIENT_ONLY, NO_DATAGRAMS];

    #[inline(always)]
    fn connect(
        script: Script,
        login: Option<&Login>,
        context: &mut Context,
        witness: &mut impl Witness,
    ) -> Option<()> {
        context.stream.chunks(script);
        let connector = Connector(Some(mem::take(&mut context.stream)));
        let mut service = SocksV5::new(PROXY.clone(), connector);
        if let Some(&Login { username, password }) = login {
            service = service.with_auth(username.to_owned(), password.to_owned());
        }
        context.stream = drive(service.call(TARGET.clone())).ok()?;
        witness.read(&context.stream, |_| Told::NotTheAddress);
        witness.wrote(&context.stream.written);
        Some(())
    }

    fn client_state() -> Option<State> {
        Some(State {
            inline: size_of::<<SocksV5<Connector> as Service<Uri>>::Future>(),
            buffer: 0,
        })
    }
}
