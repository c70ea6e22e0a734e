//! Bad networks between node and coordinator: a relay for UDP in this process that loses, delays, reorders or swallows packets.
//!
//! What it does to a packet follows from its seed and the packet's number alone. It must never look into a packet.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What happens to packets, in both directions.
#[derive(Debug, Clone, Copy, Default)]
pub struct Weather {
    /// Packets lost, of a hundred.
    pub loss_percent: u64,
    /// How long every packet takes.
    pub delay: Duration,
    /// Up to so much longer for some: what differs by more than the gap between two packets overtakes.
    pub jitter: Duration,
    /// Whether nothing gets through.
    pub black_hole: bool,
}

/// A packet under way: when it is due, its number, the socket that it leaves from, and where to.
type Packet = (Instant, u64, Vec<u8>, Arc<UdpSocket>, SocketAddr);

struct Due(Packet);

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.0.0, self.0.1) == (other.0.0, other.0.1)
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0.0, self.0.1).cmp(&(other.0.0, other.0.1))
    }
}

struct Shared {
    seed: u64,
    serial: AtomicU64,
    lost: AtomicU64,
    over: AtomicBool,
    weather: Mutex<Weather>,
    /// Until then nothing gets through.
    hole_until: Mutex<Option<Instant>>,
    due: Mutex<BinaryHeap<Reverse<Due>>>,
    came: Condvar,
    /// Of each client, the socket by which the coordinator knows it.
    routes: Mutex<HashMap<SocketAddr, Arc<UdpSocket>>>,
}

/// A running relay. It ends when it is dropped.
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// How often a thread looks whether the relay is over.
const LOOK: Duration = Duration::from_millis(50);

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Relay {
    /// A relay to `server` in fair weather.
    pub fn new(server: SocketAddr, seed: u64) -> Self {
        Self::at(Ipv4Addr::LOCALHOST, server, seed)
    }

    /// The same at another address of this machine.
    pub fn at(own: Ipv4Addr, server: SocketAddr, seed: u64) -> Self {
        let front = Arc::new(UdpSocket::bind((own, 0)).expect("a port"));
        let address = front.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            seed,
            serial: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            over: AtomicBool::new(false),
            weather: Mutex::default(),
            hole_until: Mutex::default(),
            due: Mutex::default(),
            came: Condvar::new(),
            routes: Mutex::default(),
        });
        let inbound = Arc::clone(&shared);
        std::thread::spawn(move || inbound.listen(&front, server));
        let outbound = Arc::clone(&shared);
        std::thread::spawn(move || outbound.deliver());
        Self { address, shared }
    }

    /// Where nodes dial.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// The environment entry of a node that dials the relay.
    pub fn env(&self) -> (String, String) {
        ("BOCAGE_NODE__COORDINATOR__ADDRESS".to_owned(), self.address())
    }

    /// Changes what happens to packets from now on.
    pub fn weather(&self, weather: Weather) {
        *held(&self.shared.weather) = weather;
    }

    /// Lets nothing through for so long, whatever the weather.
    pub fn black_hole_for(&self, time: Duration) {
        *held(&self.shared.hole_until) = Some(Instant::now() + time);
    }

    /// From now on the coordinator sees every node at another address, as after a firewall's change of mind.
    pub fn change_addresses(&self) {
        held(&self.shared.routes).clear();
    }

    /// Packets swallowed so far.
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        self.shared.came.notify_all();
    }
}

impl Shared {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Takes what comes from clients.
    fn listen(self: &Arc<Self>, front: &Arc<UdpSocket>, server: SocketAddr) {
        self.receive(front, |client| {
            let mut routes = held(&self.routes);
            let route = routes.entry(client).or_insert_with(|| {
                let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").expect("a port"));
                let (back, front, answers) = (Arc::clone(self), Arc::clone(front), Arc::clone(&socket));
                std::thread::spawn(move || back.receive(&answers, |_| (Arc::clone(&front), client)));
                socket
            });
            (Arc::clone(route), server)
        });
    }

    fn receive(&self, socket: &UdpSocket, towards: impl Fn(SocketAddr) -> (Arc<UdpSocket>, SocketAddr)) {
        socket.set_read_timeout(Some(LOOK)).expect("a timeout");
        let mut bytes = vec![0; 65_536];
        while !self.is_over() {
            if let Ok((length, from)) = socket.recv_from(&mut bytes) {
                let (out, to) = towards(from);
                self.take(&bytes[..length], out, to);
            }
        }
    }

    fn take(&self, bytes: &[u8], out: Arc<UdpSocket>, to: SocketAddr) {
        let weather = *held(&self.weather);
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let chance = mixed(self.seed ^ serial);
        let hole = held(&self.hole_until).is_some_and(|until| Instant::now() < until);
        if hole || weather.black_hole || chance % 100 < weather.loss_percent {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let jitter_us = weather.jitter.as_micros() as u64;
        let extra = if jitter_us == 0 { 0 } else { (chance >> 32) % jitter_us };
        let due = Instant::now() + weather.delay + Duration::from_micros(extra);
        held(&self.due).push(Reverse(Due((due, serial, bytes.to_vec(), out, to))));
        self.came.notify_all();
    }

    /// Sends every packet when it is due.
    fn deliver(&self) {
        let mut due = held(&self.due);
        while !self.is_over() {
            let wait =
                due.peek().map_or(LOOK, |Reverse(Due(packet))| packet.0.saturating_duration_since(Instant::now()));
            if wait.is_zero() {
                if let Some(Reverse(Due((_, _, bytes, out, to)))) = due.pop() {
                    // A full buffer is one more lost packet.
                    let _ = out.send_to(&bytes, to);
                }
            } else {
                due = self.came.wait_timeout(due, wait.min(LOOK)).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }
}

/// Splitmix64 (Steele, Lea, Flood 2014): each number's own random bits.
pub fn mixed(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
