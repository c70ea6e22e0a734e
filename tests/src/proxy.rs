//! An HTTP proxy of a hospital, in this process: the only way out. It leads everybody to one server, whatever name was asked for, so that a node which
//! reaches that server by a name that nobody else can look up has come through here.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// A running proxy. It takes no more connections when the process of the test ends.
pub struct ConnectProxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl ConnectProxy {
    /// A proxy to `server` that lets through who shows these credentials: `user:password` in base64.
    pub fn new(server: SocketAddr, credentials: &'static str) -> Self {
        Self::at(Ipv4Addr::LOCALHOST, server, credentials)
    }

    /// The same at another address of this machine.
    pub fn at(own: Ipv4Addr, server: SocketAddr, credentials: &'static str) -> Self {
        let listener = TcpListener::bind((own, 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&asked);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let heard = Arc::clone(&heard);
                std::thread::spawn(move || serve(client, server, credentials, &heard));
            }
        });
        Self { address, asked }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it was asked to lead to by those that it let through.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One tunnel. What goes wrong ends it, as it would at any proxy.
fn serve(client: TcpStream, server: SocketAddr, credentials: &str, heard: &Mutex<Vec<String>>) -> Option<()> {
    let mut reader = BufReader::new(client.try_clone().ok()?);
    let (mut to, mut known) = (None, false);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
        match line.trim_end() {
            "" => break,
            line if to.is_none() => to = Some(line.strip_prefix("CONNECT ")?.split(' ').next()?.to_owned()),
            line => known |= line == format!("Proxy-Authorization: Basic {credentials}"),
        }
    }
    let mut client = client;
    if !known {
        let answer =
            "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"hospital\"\r\n\r\n";
        return client.write_all(answer.as_bytes()).ok();
    }
    heard.lock().unwrap_or_else(PoisonError::into_inner).push(to?);
    let mut out = TcpStream::connect(server).ok()?;
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").ok()?;
    let (mut back, mut onto) = (out.try_clone().ok()?, client.try_clone().ok()?);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut back, &mut onto);
        let _ = onto.shutdown(Shutdown::Write);
    });
    let _ = std::io::copy(&mut reader, &mut out);
    out.shutdown(Shutdown::Write).ok()
}
