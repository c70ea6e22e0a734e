//! What version 4 adds; the bytes of the earlier versions stay as they are.

use super::*;

#[test]
fn the_messages_of_version_4_have_these_bytes() {
    let (key, study) = signed_study();
    let release = SignedRelease::sign(&release(study.id()), standing(), &key).expect("a release");
    let steps = vec![Step { analysis: 0, state: RoundState::First }];
    let revocations = Some(revocations(&permit(&SecretKey::generate(&mut Counting))));
    let request = Request::Filled(RoundRequest { study, round: 0, steps, revocations });
    let reply = Reply::Released(release);
    let mut filled = codec::encode(&reply).expect("bytes");
    let length = filled.len() + 8;
    codec::fill(&mut filled, length);
    assert_eq!(codec::decode_filled::<Reply>(&filled, length), Ok(reply));
    let found =
        json!({ "request_filled": hex(&codec::encode(&request).expect("bytes")), "reply_filled": hex(&filled) });
    assert_eq!(found, golden("messages-v4.json"), "found:\n{found:#}");
}
