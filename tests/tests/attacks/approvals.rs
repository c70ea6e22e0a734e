//! A steward's yes: of another study, of another time, under another policy, of one person instead of two, or of nobody at all. And a pause.

use std::sync::{Arc, OnceLock, Weak};

use bocage_net::frame::{read_frame, write_frame};
use bocage_node::custodian::desk::socket::Admin;
use bocage_node::custodian::desk::wire::{Answer, Command, Order};
use bocage_node::custodian::ledger::bodies::desk::{Approval, Person};
use bocage_node::custodian::ledger::{Entry, Kind, Ledger};
use bocage_node::custodian::{Control, Controls, Custodian, Switches};
use bocage_protocol::env::Timestamp;
use bocage_protocol::ids::Digest;
use bocage_protocol::limits;
use bocage_protocol::wire::message::RoundRequest;
use tokio::net::{UnixListener, UnixStream};

use super::hospital::{Desk, Hospital, NOW};
use super::ledger::{is_whole, records};
use super::scenario::Family;
use super::ward::twenty;

const COUNT: &str = "[[analysis]]\nname = 'a'\ntable = { show = ['count'] }\n";
const HOUR: i64 = 3600;

/// A hospital whose steward decides.
fn asking(policy: &str) -> Hospital {
    let hospital = Hospital::ward(&twenty());
    hospital.edit("[policy]\n", &format!("[policy]\ndecide = \"ask\"\n{policy}"));
    hospital
}

fn request(hospital: &Hospital) -> RoundRequest {
    hospital.request(&hospital.study("age > 30", COUNT))
}

fn person(uid: u32) -> Person {
    Person { uid, user: format!("user{uid}") }
}

fn yes(request: &RoundRequest, until: Option<Timestamp>) -> Command {
    Command::Approve { study: request.study.id().to_string(), until, note: None }
}

/// Whether a person's yes is taken.
fn approve(desk: &Desk<'_>, request: &RoundRequest, uid: u32) -> bool {
    !matches!(desk.custodian.command(person(uid), yes(request, None)), Answer::Failed { .. })
}

fn runs(desk: &Desk<'_>, request: &RoundRequest) -> bool {
    desk.reply(request).is_ok()
}

/// The approval of a study that was approved.
fn recorded(hospital: &Hospital) -> Approval {
    let approvals = records(hospital).into_iter().filter(|record| record.kind() == Some(Kind::Approval));
    approvals.filter_map(|record| record.body()).next_back().expect("an approval")
}

/// Adds an approval to the ledger's file, as whoever can write it would: well chained.
fn plant(hospital: &Hospital, request: &RoundRequest, approval: &Approval) {
    let ledger = Ledger::open(&hospital.config().state.ledger()).expect("the ledger");
    ledger.append(NOW, &[Entry::of_study(Kind::Approval, request.study.id(), approval)]).expect("written");
    drop(ledger);
    assert!(is_whole(hospital));
}

/// Whether a study runs after an approval was planted that is made of the one of another study, or of its own, by a change.
fn planted(
    on: Controls,
    hospital: &Hospital,
    of_another: bool,
    until: Option<Timestamp>,
    change: impl Fn(&mut Approval),
) -> bool {
    let (approved, wanted) = (request(hospital), request(hospital));
    let target = if of_another { &wanted } else { &approved };
    let desk = hospital.open(Controls::default());
    assert!(!runs(&desk, &approved) && !runs(&desk, &wanted), "both wait");
    let said = desk.custodian.command(person(7), yes(&approved, until));
    assert!(matches!(said, Answer::Study(_)), "{said:?}");
    drop(desk);
    let mut approval = recorded(hospital);
    change(&mut approval);
    plant(hospital, target, &approval);
    hospital.later(2 * HOUR);
    runs(&hospital.open(on), target)
}

/// Whether a study runs that was approved before `node.toml` was changed.
fn policy_changed(on: Controls, change: impl Fn(&Hospital)) -> bool {
    let hospital = asking("");
    hospital.edit("threshold = 3", "threshold = 5");
    hospital.edit("contract = \"ward@1\"", "contract = \"ward@1\"\nnever = [\"weight\"]");
    let request = request(&hospital);
    let desk = hospital.open(on);
    assert!(!desk.custodian.round(&request).is_empty() && approve(&desk, &request, 7));
    drop(desk);
    change(&hospital);
    runs(&hospital.open(on), &request)
}

fn ended(on: Controls, restart: bool) -> bool {
    let hospital = asking("");
    let request = request(&hospital);
    let mut desk = hospital.open(on);
    assert!(!runs(&desk, &request));
    let yes = yes(&request, Some(NOW.plus_secs(HOUR)));
    assert!(matches!(desk.custodian.command(person(7), yes), Answer::Study(_)));
    hospital.later(2 * HOUR);
    if restart {
        drop(desk);
        desk = hospital.open(on);
    }
    runs(&desk, &request)
}

fn one_person_twice(on: Controls, restart: bool) -> bool {
    let hospital = asking("two_persons = true\n");
    let request = request(&hospital);
    let mut desk = hospital.open(on);
    assert!(!runs(&desk, &request));
    approve(&desk, &request, 7);
    if restart {
        drop(desk);
        desk = hospital.open(on);
    }
    approve(&desk, &request, 7);
    runs(&desk, &request)
}

/// Whether a command through the socket, under the node's own user but with a wrong token, makes a study run.
fn without_the_token(on: Controls, token: impl Fn(&str) -> String) -> bool {
    let hospital = asking("");
    let request = request(&hospital);
    let desk = hospital.open(on);
    assert!(!runs(&desk, &request));
    let config = hospital.config();
    std::fs::create_dir_all(config.state.run()).expect("a folder");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let bind = || UnixListener::bind(config.state.admin_socket()).expect("a socket");
        drop(Admin::new(bind(), &config.state, &config.steward).expect("an earlier start"));
        let read = || std::fs::read_to_string(config.state.admin_token()).expect("a token");
        let earlier = read();
        std::fs::remove_file(config.state.admin_socket()).expect("it is gone");
        let admin = Admin::new(bind(), &config.state, &config.steward).expect("the desk");
        assert_ne!(earlier, read());
        let speak = async {
            let mut stream = UnixStream::connect(config.state.admin_socket()).await.expect("the socket");
            let order = Order { token: token(&earlier), command: yes(&request, None) };
            write_frame(&mut stream, &serde_json::to_vec(&order).expect("JSON")).await.expect("it is sent");
            // Whoever is turned away reads the end.
            let _ = read_frame(&mut stream, limits::FRAME_BYTES).await;
        };
        tokio::select! {
            () = admin.serve(&desk.custodian) => {}
            () = speak => {}
        }
    });
    runs(&desk, &request)
}

fn pause(custodian: &Custodian) {
    let paused = custodian.command(person(7), Command::Pause { reason: None });
    assert!(matches!(paused, Answer::Desk(_)), "{paused:?}");
}

/// Whether something leaves during a pause: of a study that was answered before, or of another; at once, or after a restart.
fn during_a_pause(on: Controls, before: bool, restart: bool) -> bool {
    let hospital = Hospital::ward(&twenty());
    let request = request(&hospital);
    let mut desk = hospital.open(on);
    if before {
        assert!(runs(&desk, &request));
    }
    pause(&desk.custodian);
    if restart {
        drop(desk);
        desk = hospital.open(on);
    }
    runs(&desk, &request)
}

/// Whether a query that runs when a pause begins is answered. With several analyses the pause may begin within the last.
fn within_a_query(on: Controls, nth: u32) -> bool {
    let hospital = Hospital::ward(&twenty());
    let own: Arc<OnceLock<Weak<Custodian>>> = Arc::default();
    let (within, begun) = (Arc::clone(&own), std::sync::atomic::AtomicU32::new(0));
    let before_query: bocage_node::custodian::BeforeQuery = Arc::new(move |_| {
        if begun.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == nth {
            pause(&within.get().and_then(Weak::upgrade).expect("the custodian"));
        }
    });
    let desk = hospital.open_with(Switches { controls: on, before_query: Some(before_query), ..Switches::default() });
    own.set(Arc::downgrade(&desk.custodian)).expect("once");
    let two = format!("{COUNT}[[analysis]]\nname = 'b'\ntable = {{ by = ['sex'], show = ['count'] }}\n");
    runs(&desk, &hospital.request(&hospital.study("", &two)))
}

fn forged(family: Family) -> Family {
    family
        .against(Control::ApprovalSeal, "another study's approval, written into the ledger in this one's name", |on| {
            planted(on, &asking(""), true, None, |_| {})
        })
        .against(Control::ApprovalSeal, "an approval that nobody gave, written into the ledger, well chained", |on| {
            planted(on, &asking(""), true, None, |approval| {
                approval.by = person(9);
                approval.seal = Digest::from_bytes([9; 32]);
            })
        })
        .against(Control::ApprovalSeal, "a second person's approval made of the first one's", |on| {
            let hospital = asking("two_persons = true\n");
            planted(on, &hospital, false, None, |approval| approval.by = person(8))
        })
        .against(Control::ApprovalSeal, "an approval whose end was put off in the ledger", |on| {
            planted(on, &asking(""), false, Some(NOW.plus_secs(HOUR)), |approval| {
                approval.until = NOW.plus_secs(3 * HOUR)
            })
        })
        .against(Control::AdminToken, "a yes through the admin socket without its token", |on| {
            without_the_token(on, |_| String::new())
        })
        .against(Control::AdminToken, "a yes through the admin socket with a guessed token", |on| {
            without_the_token(on, |_| "0".repeat(64))
        })
        .against(Control::AdminToken, "a yes through the admin socket with the token of an earlier start", |on| {
            without_the_token(on, str::to_owned)
        })
}

pub fn family() -> Family {
    let family = Family::new("approvals")
        .against(Control::Approval, "a study about which nobody was asked", |on| {
            let hospital = asking("");
            runs(&hospital.open(on), &request(&hospital))
        })
        .against(Control::Approval, "an approval of another study's hash", |on| {
            let hospital = asking("");
            let (approved, other) = (request(&hospital), hospital.request(&hospital.study("", COUNT)));
            let desk = hospital.open(on);
            // Off, they run without a word.
            let waited = !runs(&desk, &approved) && !runs(&desk, &other);
            assert!(!waited || approve(&desk, &approved, 7));
            runs(&desk, &other)
        })
        .against(Control::ApprovalEnd, "an approval that has ended", |on| ended(on, false))
        .against(Control::ApprovalEnd, "an approval that has ended, after a restart", |on| ended(on, true))
        .against(Control::ApprovalPolicy, "an approval from before the threshold was lowered", |on| {
            policy_changed(on, |hospital| hospital.edit("threshold = 5", "threshold = 3"))
        })
        .against(Control::ApprovalPolicy, "an approval from before a column was offered that never was", |on| {
            policy_changed(on, |hospital| hospital.edit("never = [\"weight\"]", ""))
        })
        .against(Control::ApprovalPolicy, "an approval from before the requester was trusted with another name", |on| {
            policy_changed(on, |hospital| hospital.edit("name = \"Ada\"", "name = \"Eve\""))
        })
        .against(Control::TwoPersons, "one person who says yes", |on| one_person_twice(on, false))
        .against(Control::TwoPersons, "one person who says yes again after a restart", |on| one_person_twice(on, true))
        .against(Control::Pause, "a new study during a pause", |on| during_a_pause(on, false, false))
        .against(Control::Pause, "what left before, asked again during a pause", |on| during_a_pause(on, true, false))
        .against(Control::Pause, "a restart during a pause", |on| during_a_pause(on, false, true))
        .against(Control::Pause, "a query that runs when a pause begins", |on| within_a_query(on, 0))
        .against(Control::Pause, "the last query of a study, that runs when a pause begins", |on| {
            within_a_query(on, 1)
        });
    forged(family)
}
