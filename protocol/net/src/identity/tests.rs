//! Which parts make an identity, and what a certificate names.

use super::*;
use crate::certificates::Authority;
use crate::env::SystemEntropy;

const NOW: Timestamp = Timestamp(1_790_000_000_000);

#[test]
fn parts_that_do_not_belong_together_are_refused() {
    let network = "north".parse().unwrap();
    let root = Authority::new_root(&network, NOW, &mut SystemEntropy).unwrap();
    let issuing = root.issue_intermediate(&network, NOW, &mut SystemEntropy).unwrap();
    let one = issuing.issue_site(&"aa".parse().unwrap(), NOW, 1, &mut SystemEntropy).unwrap();
    let two = issuing.issue_site(&"bb".parse().unwrap(), NOW, 1, &mut SystemEntropy).unwrap();
    let ca = root.certificate_pem();
    assert!(matches!(Identity::from_pem(&one.chain_pem, &two.key_pem, ca), Err(CertificateError::KeyMismatch)));
    assert!(matches!(Identity::from_pem("", &one.key_pem, ca), Err(CertificateError::NotPem)));
    assert!(matches!(Identity::from_pem(&one.chain_pem, ca, ca), Err(CertificateError::KeyUnusable)));
    let leaf_as_root = Identity::from_pem(&one.chain_pem, &one.key_pem, &one.chain_pem);
    assert!(matches!(leaf_as_root, Err(CertificateError::NotAnAuthority)));
    let many = ca.repeat(CERTIFICATES + 1);
    assert!(matches!(Identity::from_pem(&one.chain_pem, &one.key_pem, &many), Err(CertificateError::TooMany)));
    assert!(!format!("{:?}", Identity::from_pem(&one.chain_pem, &one.key_pem, ca).unwrap()).contains(" key: "));
}

#[test]
fn what_a_renewal_left_with_the_key_counts_until_a_later_certificate_takes_its_place() {
    let network = "north".parse().unwrap();
    let root = Authority::new_root(&network, NOW, &mut SystemEntropy).unwrap();
    let other = Authority::new_root(&"south".parse().unwrap(), NOW, &mut SystemEntropy).unwrap();
    let issuing = root.issue_intermediate(&network, NOW, &mut SystemEntropy).unwrap();
    let site = "aa".parse().unwrap();
    let [first, second] =
        [0, 20].map(|days| issuing.issue_site(&site, NOW.plus_secs(days * 86_400), 30, &mut SystemEntropy).unwrap());
    let renewed = format!("{}{}{}", *second.key_pem, second.chain_pem, other.certificate_pem());
    let read = Identity::from_pem(&first.chain_pem, &renewed, root.certificate_pem()).unwrap();
    assert_eq!(read.valid_until().since_ms(NOW), 50 * 86_400_000);
    assert_eq!(read.roots(), certificates(other.certificate_pem()).unwrap());
    // Without roots of its own, those of the network's file count.
    let chain_only = format!("{}{}", *second.key_pem, second.chain_pem);
    let read = Identity::from_pem("lost", &chain_only, root.certificate_pem()).unwrap();
    assert_eq!(read.roots(), certificates(root.certificate_pem()).unwrap());
    assert_eq!(Identity::from_pem("lost", &read.to_pem(), "lost").unwrap().to_pem(), read.to_pem());
    let public: [u8; 32] = read.public_key().try_into().unwrap();
    let later = issuing.certify_site(&site, &public, NOW.plus_secs(40 * 86_400), 30, &mut SystemEntropy).unwrap();
    let read = Identity::from_pem(&later, &renewed, root.certificate_pem()).unwrap();
    assert_eq!(read.valid_until().since_ms(NOW), 70 * 86_400_000);
}

#[test]
fn bytes_that_are_no_certificate_name_no_site() {
    for bytes in [&b""[..], b"\x30", b"\x30\x80", &[0xff; 64]] {
        assert!(matches!(site_of(&CertificateDer::from(bytes)), Err(CertificateError::Unreadable { .. })));
    }
}
