//! Peers without a certificate who send what they like.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

/// What the coordinator says to these bytes until it ends the stream.
async fn said_to(bench: &Bench, bytes: Vec<u8>) -> Option<EnrolAnswer> {
    let (mut ours, theirs) = duplex(1 << 10);
    let context = Arc::clone(&bench.lab.context);
    let served = tokio::spawn(async move { serve(&context, theirs, "test", PATIENCE).await });
    let (mut reading, mut writing) = tokio::io::split(&mut ours);
    let write = async {
        let _ = writing.write_all(&bytes).await;
        let _ = writing.shutdown().await;
    };
    let mut heard = Vec::new();
    let (_, read) = tokio::join!(write, reading.read_to_end(&mut heard));
    read.unwrap();
    served.await.unwrap();
    read_message(&mut heard.as_slice(), limits::ENROL_ANSWER_BYTES).await.ok()
}

#[tokio::test]
async fn garbage_and_huge_frames_are_told_that_they_are_none_and_cost_nothing() {
    let bench = Bench::new().await;
    let huge = [&u32::MAX.to_be_bytes()[..], &[0; 64]].concat();
    let flood = [&8192_u32.to_be_bytes()[..], &vec![7; 1 << 20]].concat();
    let garbage = [&64_u32.to_be_bytes()[..], &[0xfe; 64]].concat();
    // Ten bytes that announce 2⁶⁰ elements.
    let lie = [&10_u32.to_be_bytes()[..], &[0xfd, 0, 0, 0, 0, 0, 0, 0, 0x10, 0]].concat();
    for bytes in [huge, flood, garbage, lie] {
        let Some(EnrolAnswer::Refused(error)) = said_to(&bench, bytes).await else { panic!("no refusal") };
        assert_eq!(error.code, ErrorCode::Malformed);
    }
    for cut in [vec![], vec![0, 0], vec![0, 0, 1, 0, 5], b"GET".to_vec()] {
        assert!(said_to(&bench, cut).await.is_none());
    }
    bench.lab.stop().await;
}

#[tokio::test]
async fn who_stays_silent_or_sends_a_byte_at_a_time_is_left() {
    let bench = Bench::new().await;
    let (mut ours, theirs) = duplex(1 << 10);
    let context = Arc::clone(&bench.lab.context);
    let served = tokio::spawn(async move { serve(&context, theirs, "test", Duration::from_millis(100)).await });
    ours.write_all(&1000_u32.to_be_bytes()).await.unwrap();
    // A byte whenever the last one was taken, as long as there is room for it and somebody listens.
    let dripping = async {
        for _ in 0..500 {
            ours.write_all(&[1]).await?;
            tokio::task::yield_now().await;
        }
        ours.read_u8().await.map(drop)
    };
    let ended: std::io::Result<()> = dripping.await;
    assert!(ended.is_err(), "the stream was ended without an answer");
    served.await.unwrap();
    bench.lab.stop().await;
}

#[tokio::test]
async fn keys_that_are_not_proven_get_nothing_and_leave_the_invitation_as_it_was() {
    let bench = Bench::new().await;
    let invitation = bench.invite(LONG_BEACH, json!({})).await;
    let (keys, others) = (Keys::new(50), Keys::new(51));
    let good = keys.request(&invitation);
    let theirs = others.request(&invitation);
    let mut cases = Vec::new();
    // Another's certificate request: that one's key is proven, and the release key's word is for ours.
    cases.push(EnrolRequest { certificate_request: theirs.certificate_request.clone(), ..good.clone() });
    // Another's proof, and another's release key with our proof.
    cases.push(EnrolRequest { proof: theirs.proof, ..good.clone() });
    cases.push(EnrolRequest { release_key: others.release.public(), ..good.clone() });
    // A proof for another invitation of the same site.
    let mut elsewhere = invitation.clone();
    elsewhere.token = bocage_protocol::trust::InvitationToken::generate(&mut SystemEntropy);
    cases.push(EnrolRequest { proof: keys.request(&elsewhere).proof, ..good.clone() });
    // A certificate request whose signature was altered, one that is cut, one that is none.
    let mut altered = good.certificate_request.clone();
    *altered.last_mut().unwrap() ^= 1;
    let cut = good.certificate_request[..20].to_vec();
    for certificate_request in [altered, cut, vec![], vec![0x30; 3000]] {
        cases.push(EnrolRequest { certificate_request, ..good.clone() });
    }
    for (number, case) in cases.iter().enumerate() {
        assert_eq!(bench.refused(case).await.code, ErrorCode::EnrolmentInvalid, "case {number}");
    }
    assert_eq!(bench.lab.context.roster.release_key(&site(LONG_BEACH)), None);
    assert_eq!(bench.lab.get("/v1/invitations").await.1["invitations"][0]["state"], "open");
    bench.ask(&good).await.unwrap();
    bench.lab.stop().await;
}

#[tokio::test]
async fn of_many_who_show_one_token_at_once_one_gets_in() {
    let bench = Bench::new().await;
    let invitation = bench.invite(LONG_BEACH, json!({})).await;
    let mut admitted = Vec::new();
    let ask = |seed| {
        let (bench, request) = (&bench, Keys::new(seed).request(&invitation));
        Box::pin(async move { (request.release_key, bench.ask(&request).await) })
    };
    let mut asking: Vec<_> = (50..60).map(ask).collect();
    let all = std::future::poll_fn(|cx| {
        asking.retain_mut(|one| match one.as_mut().poll(cx) {
            std::task::Poll::Ready((key, answer)) => {
                if answer.is_ok() {
                    admitted.push(key);
                }
                false
            }
            std::task::Poll::Pending => true,
        });
        if asking.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    });
    all.await;
    drop(asking);
    assert_eq!(admitted.len(), 1);
    assert_eq!(bench.lab.context.roster.release_key(&site(LONG_BEACH)), Some(admitted[0]));
    bench.lab.stop().await;
}
