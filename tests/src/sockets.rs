//! Which sockets of the network a process has open, as the kernel tells it.

use std::collections::BTreeSet;

/// A socket of a process.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Socket {
    /// `tcp`, `tcp6`, `udp` or `udp6`.
    pub kind: &'static str,
    /// Its own port.
    pub port: u16,
    /// Whether it waits for connections: TCP's state LISTEN.
    pub listens: bool,
}

/// All sockets of a process, where the kernel lets this one look into it.
pub fn of_process(pid: u32) -> Option<BTreeSet<Socket>> {
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    let open: BTreeSet<String> = files
        .flatten()
        .filter_map(|file| std::fs::read_link(file.path()).ok())
        .filter_map(|to| Some(to.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let mut sockets = BTreeSet::new();
    for kind in ["tcp", "tcp6", "udp", "udp6"] {
        // Where the machine has no IPv6 there is no such table.
        let table = std::fs::read_to_string(format!("/proc/{pid}/net/{kind}")).unwrap_or_default();
        for line in table.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (local, state, inode) = (fields[1], fields[3], fields[9]);
            if open.contains(inode) {
                let port = local.rsplit(':').next().and_then(|port| u16::from_str_radix(port, 16).ok());
                let listens = kind.starts_with("tcp") && state == "0A";
                sockets.insert(Socket { kind, port: port.expect("a port"), listens });
            }
        }
    }
    Some(sockets)
}

/// Ports at which anybody in a process's network waits for connections over TCP, whoever it is.
pub fn listening_beside(pid: u32) -> BTreeSet<u16> {
    let mut ports = BTreeSet::new();
    for kind in ["tcp", "tcp6"] {
        let table = std::fs::read_to_string(format!("/proc/{pid}/net/{kind}")).unwrap_or_default();
        for line in table.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            if fields[3] == "0A" {
                let port = fields[1].rsplit(':').next().and_then(|port| u16::from_str_radix(port, 16).ok());
                ports.extend(port);
            }
        }
    }
    ports
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_process_listens_on_is_seen_and_told_from_what_it_only_bound() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let dialled = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let seen = of_process(std::process::id()).unwrap();
        for (kind, address, listens) in [
            ("tcp", listener.local_addr(), true),
            ("tcp", dialled.local_addr(), false),
            ("udp", datagrams.local_addr(), false),
        ] {
            let port = address.unwrap().port();
            assert!(seen.contains(&Socket { kind, port, listens }), "{seen:?}");
            assert!(!listens || listening_beside(std::process::id()).contains(&port));
        }
    }
}
