//! The word to systemd (`sd_notify(3)`): ready, reloading, stopping, alive. Where nobody asked to be told, nothing is sent.
//!
//! The socket is connected when the daemon starts, so that a sandbox that comes later need allow none.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Who is told, if anybody.
#[derive(Debug, Default)]
pub struct Notify {
    socket: Option<UnixDatagram>,
    watchdog: Option<Duration>,
}

impl Notify {
    /// Reads `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`. A socket that cannot be reached is said in the log, and nobody is told.
    pub fn from_env() -> Self {
        let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return Self::default() };
        let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let is_ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|usec| is_ours && *usec > 0).map(Duration::from_micros);
        match connect(&path) {
            Ok(socket) => Self { socket: Some(socket), watchdog },
            Err(error) => {
                tracing::warn!(%error, "systemd's socket (NOTIFY_SOCKET) cannot be reached: it is told nothing");
                Self::default()
            }
        }
    }

    /// How long systemd waits for a sign of life, if it does.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Everything that was to come up is up.
    pub fn ready(&self) {
        self.send("READY=1");
    }

    /// The configuration is read again; [`Notify::ready`] follows when that is done, whatever came of it.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={}", now.tv_sec * 1_000_000 + now.tv_nsec / 1_000));
    }

    /// The daemon is about to end.
    pub fn stopping(&self) {
        self.send("STOPPING=1");
    }

    /// The daemon's loop turns.
    pub fn alive(&self) {
        if self.watchdog.is_some() {
            self.send("WATCHDOG=1");
        }
    }

    /// How things stand, in a line for `systemctl status`.
    pub fn status(&self, line: &str) {
        self.send(&format!("STATUS={}", line.replace('\n', " ")));
    }

    fn send(&self, message: &str) {
        // systemd that does not listen any more is not told, and that stops nothing.
        let _ = self.socket.as_ref().map(|socket| socket.send(message.as_bytes()));
    }
}

/// A socket of the file system, or of the abstract names, which begin with `@`.
fn connect(path: &OsStr) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    match path.as_bytes().strip_prefix(b"@") {
        Some(name) => socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?,
        None => socket.connect(path)?,
    }
    // A full queue must not stop a daemon.
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 512];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    #[test]
    fn what_is_said_reaches_the_socket_one_message_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let systemd = UnixDatagram::bind(dir.path().join("notify")).unwrap();
        let socket = Some(connect(dir.path().join("notify").as_os_str()).unwrap());
        let notify = Notify { socket, watchdog: Some(Duration::from_secs(60)) };
        notify.ready();
        notify.alive();
        notify.status("4 of 4 sites\nconnected");
        notify.reloading();
        assert_eq!(heard(&systemd), "READY=1");
        assert_eq!(heard(&systemd), "WATCHDOG=1");
        assert_eq!(heard(&systemd), "STATUS=4 of 4 sites connected");
        let reloading = heard(&systemd);
        let (_, at) = reloading.split_once("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        assert!(at.parse::<u64>().unwrap() > 0);
    }

    #[test]
    fn without_a_watchdog_nobody_is_told_that_the_loop_turns_and_without_a_socket_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let systemd = UnixDatagram::bind(dir.path().join("notify")).unwrap();
        systemd.set_nonblocking(true).unwrap();
        let socket = Some(connect(dir.path().join("notify").as_os_str()).unwrap());
        Notify { socket, watchdog: None }.alive();
        assert!(systemd.recv(&mut [0; 16]).is_err());
        Notify::default().ready();
    }
}
