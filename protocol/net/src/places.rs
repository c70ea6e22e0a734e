//! Places for those who have not yet shown who they are. There are so many, and no household keeps the others from them.
//!
//! Where all are taken, somebody gives way: of the household that has most places, whoever came first. So whoever holds connections open takes
//! places from their own household alone, while a hundred sites behind one address may use all that nobody else wants: there is nothing to set.
//! Within one household who came first may finish what takes a moment, and newcomers are told to come back: a crowd that comes at once gets in one
//! after another. Who is known gives way to nobody.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bocage_protocol::limits::STRANGER_SECS;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Who shares an address: one of IPv4, or the 2⁸⁰ of IPv6 (a /48) that a customer of a provider may have.
pub fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

/// Who gives way where all places are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manners {
    /// The stranger who came first, of the household that has most; to their own household only when they have had so long.
    Yield(Duration),
    /// Nobody: what a flood would meet without this module. For tests, which show that it is needed.
    FirstCome,
}

/// The places of one door. A clone is the same door.
#[derive(Debug, Clone)]
pub struct Places(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    most: usize,
    manners: Manners,
    taken: Mutex<Taken>,
    /// Somebody left.
    left: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    /// By number, so that who came first stands first.
    guests: BTreeMap<u64, Guest>,
}

#[derive(Debug)]
struct Guest {
    household: IpAddr,
    came: Instant,
    known: bool,
    /// As whom, where that is bounded.
    name: Option<String>,
    gives_way: Arc<Notify>,
}

/// A place that somebody holds until it is dropped, or they must give way.
#[derive(Debug)]
pub struct Place {
    number: u64,
    door: Arc<Shared>,
    gives_way: Arc<Notify>,
}

impl Places {
    /// So many places.
    pub fn new(most: usize, manners: Manners) -> Self {
        Self(Arc::new(Shared { most, manners, taken: Mutex::default(), left: Notify::new() }))
    }

    /// So many, for those who show within a few round trips who they are.
    pub fn for_strangers(most: usize) -> Self {
        Self::new(most, Manners::Yield(Duration::from_secs(STRANGER_SECS)))
    }

    /// How many there are.
    pub fn most(&self) -> usize {
        self.0.most
    }

    /// How many are free.
    pub fn free(&self) -> usize {
        self.0.most.saturating_sub(self.0.taken().guests.len())
    }

    /// A place for who comes from `address`, if need be in somebody's stead. None where nobody gives way.
    pub fn take(&self, address: IpAddr) -> Option<Place> {
        self.take_at(address, Instant::now())
    }

    fn take_at(&self, address: IpAddr, came: Instant) -> Option<Place> {
        let household = household(address);
        let mut taken = self.0.taken();
        if taken.guests.len() >= self.0.most {
            let number = taken.who_gives_way(self.0.manners, household, came)?;
            taken.guests.remove(&number)?.gives_way.notify_one();
        }
        let (number, gives_way) = (taken.next, Arc::new(Notify::new()));
        taken.next += 1;
        taken
            .guests
            .insert(number, Guest { household, came, known: false, name: None, gives_way: Arc::clone(&gives_way) });
        drop(taken);
        Some(Place { number, door: Arc::clone(&self.0), gives_way })
    }

    /// Waits until a place is free, or somebody holds one who might give way.
    pub async fn room(&self) {
        loop {
            let left = self.0.left.notified();
            let room = {
                let taken = self.0.taken();
                let yields = self.0.manners != Manners::FirstCome && taken.guests.values().any(|guest| !guest.known);
                taken.guests.len() < self.0.most || yields
            };
            if room {
                return;
            }
            left.await;
        }
    }
}

impl Shared {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn who_gives_way(&self, manners: Manners, newcomer: IpAddr, now: Instant) -> Option<u64> {
        let Manners::Yield(grace) = manners else { return None };
        // Of each household, how many strangers there are, and who of them came first.
        let mut households: HashMap<IpAddr, (usize, u64)> = HashMap::new();
        for (number, guest) in self.guests.iter().filter(|(_, guest)| !guest.known) {
            households.entry(guest.household).or_insert((0, *number)).0 += 1;
        }
        let own = households.get(&newcomer).copied().unwrap_or_default();
        let largest = households.values().copied().max_by_key(|(count, first)| (*count, std::cmp::Reverse(*first)))?;
        if largest.0 > own.0 {
            return Some(largest.1);
        }
        let first = self.guests.get(&own.1)?;
        (now.saturating_duration_since(first.came) >= grace).then_some(own.1)
    }
}

impl Place {
    /// Who holds it has shown who they are.
    pub fn known(&self) {
        if let Some(guest) = self.door.taken().guests.get_mut(&self.number) {
            guest.known = true;
        }
    }

    /// The same, of one who may hold so many places at most: beyond them they are a stranger like others.
    pub fn known_as(&self, name: &str, most: usize) {
        let mut taken = self.door.taken();
        let held = taken.guests.values().filter(|guest| guest.name.as_deref() == Some(name)).count();
        if let Some(guest) = taken.guests.get_mut(&self.number).filter(|guest| !guest.known && held < most) {
            (guest.known, guest.name) = (true, Some(name.to_owned()));
        }
    }

    /// Ends when who holds it must go.
    pub fn gave_way(&self) -> impl Future<Output = ()> + Send + 'static {
        let gives_way = Arc::clone(&self.gives_way);
        async move { gives_way.notified().await }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.door.taken().guests.remove(&self.number);
        self.door.left.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(3);

    fn places(most: usize) -> Places {
        Places::new(most, Manners::Yield(GRACE))
    }

    fn at(address: &str) -> IpAddr {
        address.parse().unwrap()
    }

    async fn gone(place: &Place) -> bool {
        let gave_way = place.gave_way();
        tokio::select! {
            biased;
            () = gave_way => true,
            () = std::future::ready(()) => false,
        }
    }

    #[tokio::test]
    async fn who_holds_all_places_gives_way_to_another_household_and_loses_the_first() {
        let door = places(3);
        let held: Vec<_> = (0..3).map(|_| door.take(at("192.0.2.1")).unwrap()).collect();
        let other = door.take(at("192.0.2.2")).unwrap();
        assert!(gone(&held[0]).await && !gone(&held[1]).await);
        for _ in 0..10 {
            assert!(door.take(at("192.0.2.1")).is_none(), "their own household has had no time yet");
        }
        assert!(!gone(&other).await, "who has one place loses none to who has two");
        assert_eq!(door.free(), 0);
    }

    #[tokio::test]
    async fn one_name_keeps_so_many_places_and_no_more() {
        let door = places(4);
        let held: Vec<_> = (0..4).map(|_| door.take(at("192.0.2.1")).unwrap()).collect();
        held.iter().for_each(|place| place.known_as("ada", 2));
        // Said again, as with each request: it is one place all the same.
        held[0].known_as("ada", 2);
        let others = [2, 3].map(|host| door.take(at(&format!("192.0.2.{host}"))).unwrap());
        let gone = [gone(&held[0]).await, gone(&held[1]).await, gone(&held[2]).await, gone(&held[3]).await];
        assert_eq!(gone, [false, false, true, true]);
        drop((held, others));
    }

    #[tokio::test]
    async fn within_a_household_who_came_first_has_a_moment_and_gives_way_then() {
        let (door, came) = (places(2), Instant::now());
        let take = |address, after| door.take_at(at(address), came + after);
        let (first, second) =
            (take("2001:db8::1", Duration::ZERO).unwrap(), take("2001:db8::2", Duration::ZERO).unwrap());
        assert!(take("2001:db8::3", GRACE / 2).is_none());
        let _third = take("2001:db8::3", GRACE).unwrap();
        assert!(gone(&first).await && !gone(&second).await);
    }

    #[tokio::test]
    async fn who_is_known_gives_way_to_nobody_and_a_place_that_is_left_is_free() {
        let door = Places::new(2, Manners::Yield(Duration::ZERO));
        let (one, two) = (door.take(at("192.0.2.1")).unwrap(), door.take(at("192.0.2.1")).unwrap());
        one.known();
        two.known();
        assert!(door.take(at("192.0.2.2")).is_none());
        let mut room = std::pin::pin!(door.room());
        let waits = std::future::poll_fn(|cx| std::task::Poll::Ready(room.as_mut().poll(cx).is_pending()));
        assert!(waits.await, "nobody gives way");
        drop(one);
        room.await;
        assert!(door.take(at("192.0.2.2")).is_some());
        assert!(!gone(&two).await);
    }

    #[tokio::test]
    async fn many_households_of_one_place_each_lose_the_oldest() {
        let door = places(3);
        let held: Vec<_> = (1..=3).map(|n| door.take(at(&format!("192.0.2.{n}"))).unwrap()).collect();
        let _newcomer = door.take(at("192.0.2.9")).unwrap();
        assert!(gone(&held[0]).await && !gone(&held[1]).await && !gone(&held[2]).await);
    }

    #[tokio::test]
    async fn without_manners_whoever_came_first_keeps_everybody_out() {
        let door = Places::new(1, Manners::FirstCome);
        let _held = door.take(at("192.0.2.1")).unwrap();
        assert!(door.take(at("192.0.2.2")).is_none());
    }

    #[test]
    fn a_household_of_ipv6_has_the_first_half_of_an_address_in_common() {
        assert_eq!(household(at("2001:db8::1")), household(at("2001:db8::ffff:1")));
        assert_eq!(household(at("2001:db8::1")), household(at("2001:db8:0:1::1")), "what one customer has");
        assert_ne!(household(at("2001:db8::1")), household(at("2001:db8:1::1")));
        assert_eq!(household(at("::ffff:192.0.2.1")), at("192.0.2.1"));
        assert_ne!(household(at("192.0.2.1")), household(at("192.0.2.2")));
    }
}
