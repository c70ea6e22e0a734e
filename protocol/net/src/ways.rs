//! A node's ways to its coordinator: QUIC, TCP, or both, of which one wins a race.
//!
//! ```text
//! 0 s          the favourite is dialled: QUIC
//! 1 s          it has not answered: TCP is dialled beside it            (at once where QUIC has failed)
//! …            the first link that is proven is the session's, the other attempt is dropped
//! ```
//! Whoever won is the favourite of the next race, so that a hospital whose firewall drops UDP does not wait for it each time. Where that is TCP,
//! QUIC becomes the favourite again after a quarter of an hour, or where this machine's own address has changed: it is in another network then.
//!
//! A race is held whenever a link is made: for a session, or as a renewed identity. While a session stands on TCP the agent tries QUIC alone now and then,
//! and moves the session there when it answers.

mod race;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bocage_protocol::env::Clock;
use tokio::time::{Instant, sleep};

use self::race::{Here, Memory, Race, Way};
use crate::either::Either;
use crate::quic::QuicLink;
use crate::tcp::TcpLink;
use crate::transport::{ConnectError, Dialler};

/// Which ways there are: the first is QUIC, the second TCP.
#[derive(Debug)]
pub enum Ways<A, B> {
    /// The first alone.
    First(A),
    /// The second alone.
    Second(B),
    /// Both, in a race.
    Both(Both<A, B>),
}

/// Two ways, and what is remembered of their races.
pub struct Both<A, B> {
    first: A,
    second: B,
    clock: Arc<dyn Clock>,
    memory: Mutex<Memory>,
}

impl<A: fmt::Debug, B: fmt::Debug> fmt::Debug for Both<A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Both").field("first", &self.first).field("second", &self.second).finish_non_exhaustive()
    }
}

type Won<A, B> = Either<<A as Dialler>::Link, <B as Dialler>::Link>;

impl<A: Dialler, B: Dialler> Both<A, B> {
    /// Nothing is remembered yet: the first is the favourite.
    pub fn new(first: A, second: B, clock: Arc<dyn Clock>) -> Self {
        Self { first, second, clock, memory: Mutex::default() }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn race(&self) -> Result<Won<A, B>, ConnectError> {
        let here = here();
        let favourite = self.memory().favourite(self.clock.now(), &here);
        let (way, link) = self.run(Race::new(favourite)).await?;
        tracing::info!(over = %way, "the coordinator is reached");
        self.memory().won(way, self.clock.now(), here);
        Ok(link)
    }

    /// Where that fails nothing is forgotten: the second stays the favourite as long as it would have.
    async fn first_alone(&self) -> Result<Won<A, B>, ConnectError> {
        let here = here();
        let link = self.first.connect().await?;
        tracing::info!(over = %Way::First, "the coordinator is reached");
        self.memory().won(Way::First, self.clock.now(), here);
        Ok(Either::First(link))
    }

    async fn run(&self, mut race: Race) -> Result<(Way, Won<A, B>), ConnectError> {
        let began = Instant::now();
        let first = async { self.first.connect().await.map(Either::First) };
        let second = async { self.second.connect().await.map(Either::Second) };
        tokio::pin!(first, second);
        let (mut first_runs, mut second_runs) = (false, false);
        let (mut first_lost, mut second_lost) = (None, None);
        loop {
            while let Some(way) = race.next(began.elapsed()) {
                match way {
                    Way::First => first_runs = true,
                    Way::Second => second_runs = true,
                }
            }
            let (way, dialled) = tokio::select! {
                biased;
                dialled = &mut first, if first_runs => (Way::First, dialled),
                dialled = &mut second, if second_runs => (Way::Second, dialled),
                () = sleep(race.wait(began.elapsed()).unwrap_or_default()), if race.wait(began.elapsed()).is_some() => continue,
            };
            match (way, dialled) {
                (way, Ok(link)) => return Ok((way, link)),
                (Way::First, Err(error)) => (first_runs, first_lost) = (false, Some(Box::new(error))),
                (Way::Second, Err(error)) => (second_runs, second_lost) = (false, Some(Box::new(error))),
            }
            race.lost(way);
            if let (Some(_), Some(_)) = (&first_lost, &second_lost)
                && let (Some(first), Some(second)) = (first_lost.take(), second_lost.take())
            {
                return Err(ConnectError::NoWay { first, second });
            }
        }
    }
}

impl<A: Dialler, B: Dialler> Dialler for Ways<A, B> {
    type Link = Won<A, B>;

    async fn connect(&self) -> Result<Self::Link, ConnectError> {
        match self {
            Self::First(first) => first.connect().await.map(Either::First),
            Self::Second(second) => second.connect().await.map(Either::Second),
            Self::Both(both) => both.race().await,
        }
    }

    fn is_second_choice(&self, link: &Self::Link) -> bool {
        matches!((self, link), (Self::Both(_), Either::Second(_)))
    }

    async fn connect_by_first_choice(&self) -> Result<Self::Link, ConnectError> {
        match self {
            Self::Both(both) => both.first_alone().await,
            _ => self.connect().await,
        }
    }
}

impl Either<QuicLink, TcpLink> {
    /// After closing on a node: waits until the peer has been told. For the end of a process.
    pub async fn drained(&self) {
        match self {
            Self::First(quic) => quic.drained().await,
            Self::Second(tcp) => tcp.drained().await,
        }
    }
}

/// Asks the kernel how it would send to addresses that are nobody's (RFC 5737, RFC 3849). Nothing is sent.
fn here() -> Here {
    let nowhere: [(IpAddr, IpAddr); 2] = [
        (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::new(192, 0, 2, 1).into()),
        (Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into()),
    ];
    nowhere.map(|(any, nobody)| {
        let socket = UdpSocket::bind((any, 0)).ok()?;
        socket.connect((nobody, 9)).ok()?;
        Some(socket.local_addr().ok()?.ip())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::SystemClock;
    use crate::memory::{MemoryDialler, MemoryListener};
    use crate::transport::{Listener as _, contract};

    fn ways(first: &MemoryListener, second: &MemoryListener) -> Ways<MemoryDialler, MemoryDialler> {
        let site = || "aa".parse().unwrap();
        Ways::Both(Both::new(first.dialler(site()), second.dialler(site()), Arc::new(SystemClock)))
    }

    #[tokio::test]
    async fn a_race_keeps_the_contract_of_whichever_way_is_open() {
        let (open, shut) = (MemoryListener::new(), MemoryListener::new());
        shut.close();
        let site = "aa".parse().unwrap();
        contract::keeps(&ways(&open, &shut), &open, &site).await;
        let open = MemoryListener::new();
        contract::keeps(&ways(&shut, &open), &open, &site).await;
    }

    #[tokio::test]
    async fn a_way_that_never_answers_is_dropped_when_the_other_wins_and_is_not_the_favourite_next_time() {
        struct Never;
        impl Dialler for Never {
            type Link = crate::memory::MemoryLink;
            async fn connect(&self) -> Result<Self::Link, ConnectError> {
                std::future::pending().await
            }
        }
        let open = MemoryListener::new();
        let both = Both::new(Never, open.dialler("aa".parse().unwrap()), Arc::new(SystemClock));
        assert!(matches!(both.race().await, Ok(Either::Second(_))));
        assert_eq!(both.memory().favourite(SystemClock.now(), &here()), Way::Second);
        assert!(matches!(both.race().await, Ok(Either::Second(_))));
    }

    #[tokio::test]
    async fn a_link_by_the_second_way_is_second_choice_and_the_first_way_is_the_favourite_again_once_it_answers() {
        let (first, second) = (MemoryListener::new(), MemoryListener::new());
        let site = || "aa".parse().unwrap();
        let both = Both::new(first.dialler(site()), second.dialler(site()), Arc::new(SystemClock));
        both.memory().won(Way::Second, SystemClock.now(), here());
        let ways = Ways::Both(both);
        let by_second = ways.connect().await.unwrap();
        assert!(ways.is_second_choice(&by_second));
        let by_first = ways.connect_by_first_choice().await.unwrap();
        assert!(!ways.is_second_choice(&by_first) && matches!(by_first, Either::First(_)));
        assert!(matches!(ways.connect().await, Ok(Either::First(_))), "the favourite");
        // Where that way is shut, nobody takes the other instead.
        first.close();
        assert!(ways.connect_by_first_choice().await.is_err());
        // Where there is one way alone, it is nobody's second choice.
        let alone: Ways<MemoryDialler, MemoryDialler> = Ways::Second(second.dialler(site()));
        let link = alone.connect().await.unwrap();
        assert!(!alone.is_second_choice(&link) && alone.connect_by_first_choice().await.is_ok());
    }

    #[tokio::test]
    async fn where_both_fail_both_say_why() {
        let (one, other) = (MemoryListener::new(), MemoryListener::new());
        one.close();
        other.close();
        let error = ways(&one, &other).connect().await.unwrap_err().to_string();
        assert_eq!(error.matches("nobody listens").count(), 2, "{error}");
    }
}
