//! The server inside another program, whose runtime continues when the server ends.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use sans_socks_proxy::{Server, SystemResolver};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::common::{Raw, accept, config, eventually, listener};

/// A server that runs as a task.
struct Embedded {
    runtime: Runtime,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    run: JoinHandle<()>,
}

fn start() -> Embedded {
    let runtime = Runtime::new().expect("a runtime");
    let config = config(&["--listen", "127.0.0.1:0", "--drain-timeout", "0"]);
    let server = {
        let _context = runtime.enter();
        Server::bind(config, SystemResolver).expect("it listens")
    };
    let address = server.local_addrs()[0];
    let (stop, stopped) = oneshot::channel();
    let run = runtime.spawn(server.run(async move {
        let _ = stopped.await;
    }));
    Embedded {
        runtime,
        address,
        stop,
        run,
    }
}

#[test]
fn returned_server_accepts_no_more() {
    let embedded = start();
    let (target, address) = listener();
    let mut tunnel = Raw::greeted(embedded.address).tunnel(address);
    let mut far = accept(&target);
    let mut waiting = Raw::greeted(embedded.address);
    embedded.stop.send(()).expect("it runs");
    embedded.runtime.block_on(embedded.run).expect("no panic");
    assert!(TcpStream::connect(embedded.address).is_err());
    embedded.runtime.shutdown_timeout(Duration::from_secs(10));
    tunnel.expect_reset();
    far.expect_reset();
    waiting.expect_end();
}

/// Its listeners once continued to accept.
#[test]
fn dropped_server_accepts_no_more() {
    let embedded = start();
    embedded.run.abort();
    eventually("connections are refused", || {
        TcpStream::connect(embedded.address).is_err()
    });
}
