//! A link that can be cut, made to swallow bytes, and restored.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Open,
    /// Connections are closed, new ones are closed at once.
    Cut,
    /// Bytes vanish, nothing is closed.
    Swallow,
}

/// Listens on a port of its own and passes bytes on to another.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    mode: watch::Sender<Mode>,
}

impl Proxy {
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let own = listener.local_addr().expect("its address").port();
        let (mode, watched) = watch::channel(Mode::Open);
        tokio::spawn(accept(listener, port, watched));
        Self { port: own, mode }
    }

    pub(crate) fn cut(&self) {
        self.mode.send_replace(Mode::Cut);
    }

    pub(crate) fn swallow(&self) {
        self.mode.send_replace(Mode::Swallow);
    }

    pub(crate) fn heal(&self) {
        self.mode.send_replace(Mode::Open);
    }
}

/// Ends when the proxy is dropped.
async fn accept(listener: TcpListener, port: u16, mut mode: watch::Receiver<Mode>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            changed = mode.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
        };
        if let Ok((client, _)) = accepted
            && *mode.borrow() != Mode::Cut
        {
            tokio::spawn(serve(client, port, mode.clone()));
        }
    }
}

async fn serve(client: TcpStream, port: u16, mut mode: watch::Receiver<Mode>) {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let Ok(server) = TcpStream::connect(address).await else {
        return;
    };
    client.set_nodelay(true).expect("nodelay");
    server.set_nodelay(true).expect("nodelay");
    let (client_in, client_out) = client.into_split();
    let (server_in, server_out) = server.into_split();
    let (there, back) = (mode.clone(), mode.clone());
    tokio::select! {
        () = copy(client_in, server_out, there) => {}
        () = copy(server_in, client_out, back) => {}
        // An error means that the proxy was dropped, which cuts the link, too.
        _ = mode.wait_for(|mode| *mode == Mode::Cut) => {}
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mode: watch::Receiver<Mode>) {
    let mut buffer = vec![0; 64 << 10];
    let mut holed = false;
    loop {
        let read = tokio::time::timeout(Duration::from_millis(50), from.read(&mut buffer)).await;
        let swallowing = *mode.borrow() == Mode::Swallow;
        if holed && !swallowing {
            // A stream with a gap is useless to both sides.
            return;
        }
        match read {
            Err(_) => {}
            Ok(Ok(0) | Err(_)) if swallowing => {
                holed = true;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Ok(Ok(0) | Err(_)) => return,
            Ok(Ok(_)) if swallowing => holed = true,
            Ok(Ok(count)) => {
                if to.write_all(&buffer[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}
