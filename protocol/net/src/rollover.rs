//! What a node believes of the roots that its coordinator tells it of.
//!
//! **A coordinator alone makes no root.** A root that a node does not trust yet is added only if a root that it does trust has certified it: if there is a
//! certificate with the new root's name and key (the *cross certificate*), signed by the trusted root's key. So who holds the coordinator, with all its keys,
//! still cannot put a root of its own into a node: that needs the network's root key, which is offline.
//!
//! A root that the coordinator tells of no more is dropped, as long as one stays: the worst that comes of it is a coordinator that its nodes cannot reach.

use bocage_protocol::env::Timestamp;
use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::time::ASN1Time;

use crate::identity::{CertificateError, Identity, parse};

/// What is trusted from now on, and what that changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adopted {
    /// The roots.
    pub(crate) roots: Vec<CertificateDer<'static>>,
    /// Roots that were not trusted before.
    pub added: usize,
    /// Roots that are trusted no more.
    pub dropped: usize,
    /// Roots that no trusted one vouches for: they are not among `roots`.
    pub refused: usize,
}

impl Adopted {
    /// Whether anything changes.
    pub fn is_change(&self) -> bool {
        self.added + self.dropped > 0
    }
}

/// Holds what is told against what `identity` trusts.
///
/// # Errors
/// Where something is no certificate, or no root would be left.
pub fn adopt(identity: &Identity, told: &[Vec<u8>], now: Timestamp) -> Result<Adopted, CertificateError> {
    let told: Vec<CertificateDer<'static>> = told.iter().map(|der| CertificateDer::from(der.clone())).collect();
    let parsed = told.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    let trusted = identity.roots().iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    let time = ASN1Time::from_timestamp(now.0.div_euclid(1000)).map_err(|_| CertificateError::DateOutOfRange)?;
    let mut adopted = Adopted { roots: Vec::new(), added: 0, dropped: 0, refused: 0 };
    for (der, certificate) in told.iter().zip(&parsed).filter(|(_, certificate)| issued_itself(certificate)) {
        if identity.roots().contains(der) {
            adopted.roots.push(der.clone());
        } else if is_root(certificate, time) && parsed.iter().any(|cross| vouches(&trusted, cross, certificate, time)) {
            adopted.roots.push(der.clone());
            adopted.added += 1;
        } else {
            adopted.refused += 1;
        }
    }
    adopted.dropped = identity.roots().iter().filter(|root| !adopted.roots.contains(root)).count();
    if adopted.roots.is_empty() { Err(CertificateError::NoRootLeft) } else { Ok(adopted) }
}

fn issued_itself(certificate: &X509Certificate<'_>) -> bool {
    certificate.subject().as_raw() == certificate.issuer().as_raw()
}

fn is_root(certificate: &X509Certificate<'_>, time: ASN1Time) -> bool {
    may_issue_authorities(certificate)
        && certificate.validity().is_valid_at(time)
        && certificate.verify_signature(None).is_ok()
}

/// A root may, and a cross certificate says that one may. An intermediate may not, whose key the coordinator holds: a trusted root signed it, and it vouches
/// for nobody.
fn may_issue_authorities(certificate: &X509Certificate<'_>) -> bool {
    let constraints = certificate.basic_constraints().ok().flatten();
    constraints.is_some_and(|of| of.value.ca && of.value.path_len_constraint.is_none_or(|below| below > 0))
}

/// Whether `cross` certifies the name and the key of `root`, and a trusted root has signed it.
fn vouches(
    trusted: &[X509Certificate<'_>],
    cross: &X509Certificate<'_>,
    root: &X509Certificate<'_>,
    time: ASN1Time,
) -> bool {
    cross.subject().as_raw() == root.subject().as_raw()
        && cross.public_key().raw == root.public_key().raw
        && may_issue_authorities(cross)
        && cross.signature_value.unused_bits == 0
        && cross.validity().is_valid_at(time)
        && trusted.iter().any(|old| {
            cross.issuer().as_raw() == old.subject().as_raw() && cross.verify_signature(Some(old.public_key())).is_ok()
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificates::{Authority, SiteKey, params};
    use crate::env::SystemEntropy;
    use crate::identity::certificates;

    const NOW: Timestamp = Timestamp(1_790_000_000_000);

    struct Bench {
        old: Authority,
        identity: Identity,
    }

    impl Bench {
        fn new() -> Self {
            let network = "north".parse().unwrap();
            let old = Authority::new_root(&network, NOW, &mut SystemEntropy).unwrap();
            let issuing = old.issue_intermediate(&network, NOW, &mut SystemEntropy).unwrap();
            let own = issuing.issue_site(&"aa".parse().unwrap(), NOW, 30, &mut SystemEntropy).unwrap();
            let identity = Identity::from_pem(&own.chain_pem, &own.key_pem, old.certificate_pem()).unwrap();
            Self { old, identity }
        }

        fn told(&self, told: &[&str]) -> Result<Adopted, CertificateError> {
            adopt(&self.identity, &told.iter().map(|pem| der(pem)).collect::<Vec<_>>(), NOW)
        }
    }

    fn der(pem: &str) -> Vec<u8> {
        certificates(pem).unwrap()[0].to_vec()
    }

    fn successor(of: &Authority) -> (Authority, String) {
        of.succeeding_root(&"north".parse().unwrap(), NOW, &mut SystemEntropy).unwrap()
    }

    #[test]
    fn a_root_that_the_trusted_one_vouches_for_is_added_and_then_the_old_one_dropped() {
        let mut bench = Bench::new();
        let old = bench.old.certificate_pem().to_owned();
        assert!(!bench.told(&[&old]).unwrap().is_change());
        let (new, cross) = successor(&bench.old);
        let both = bench.told(&[&old, new.certificate_pem(), &cross]).unwrap();
        assert_eq!((both.roots.len(), both.added, both.dropped, both.refused), (2, 1, 0, 0));
        bench.identity = bench.identity.trusting(&both);
        let one = bench.told(&[new.certificate_pem()]).unwrap();
        assert_eq!((one.roots.len(), one.added, one.dropped, one.refused), (1, 0, 1, 0));
        // A second rollover, from the new root on.
        bench.identity = bench.identity.trusting(&one);
        let (third, cross) = successor(&new);
        let next = bench.told(&[new.certificate_pem(), third.certificate_pem(), &cross]).unwrap();
        assert_eq!(next.added, 1);
    }

    #[test]
    fn a_coordinator_cannot_make_a_root_of_its_own_without_the_old_roots_word() {
        let bench = Bench::new();
        let old = bench.old.certificate_pem();
        let (network, mut entropy) = ("north".parse().unwrap(), SystemEntropy);
        // It has the intermediate's key, and any number of roots of its own.
        let usurper = Authority::new_root(&network, NOW, &mut entropy).unwrap();
        let (heir, by_usurper) = successor(&usurper);
        let (_, of_another) = successor(&bench.old);
        let key = SiteKey::generate(&mut entropy).unwrap();
        let issuing = usurper.issue_intermediate(&network, NOW, &mut entropy).unwrap();
        let leaf = issuing.certify_site(&"aa".parse().unwrap(), &key.public(), NOW, 30, &mut entropy).unwrap();
        for told in [
            &[old, heir.certificate_pem()][..],
            &[old, heir.certificate_pem(), &by_usurper],
            &[old, usurper.certificate_pem(), heir.certificate_pem(), &by_usurper],
            &[old, heir.certificate_pem(), &of_another],
            &[old, heir.certificate_pem(), &leaf],
        ] {
            let adopted = bench.told(told).unwrap();
            assert!(!adopted.is_change() && adopted.refused > 0, "{told:?}");
        }
        let alone = bench.told(&[heir.certificate_pem(), &by_usurper]);
        assert!(matches!(alone, Err(CertificateError::NoRootLeft)));
        assert!(matches!(bench.told(&[]), Err(CertificateError::NoRootLeft)));
        assert!(adopt(&bench.identity, &[vec![0x30, 0x80]], NOW).is_err());
    }

    #[test]
    fn the_intermediate_whose_key_the_coordinator_holds_vouches_for_no_root() {
        let bench = Bench::new();
        let issuing = bench.old.issue_intermediate(&"north".parse().unwrap(), NOW, &mut SystemEntropy).unwrap();
        let key = rcgen::KeyPair::from_pkcs8_pem_and_sign_algo(&issuing.key_pem(), &rcgen::PKCS_ED25519).unwrap();
        for below in [None, Some(0), Some(1)] {
            let mut params = params("north issuing", NOW, 3650, &mut SystemEntropy).unwrap();
            let constraints =
                below.map_or(rcgen::BasicConstraints::Unconstrained, rcgen::BasicConstraints::Constrained);
            params.is_ca = rcgen::IsCa::Ca(constraints);
            let own = params.self_signed(&key).unwrap().pem();
            let adopted = bench.told(&[bench.old.certificate_pem(), &own, issuing.certificate_pem()]).unwrap();
            assert!(!adopted.is_change() && adopted.refused == 1, "{below:?}");
            assert!(matches!(bench.told(&[&own, issuing.certificate_pem()]), Err(CertificateError::NoRootLeft)));
        }
    }

    #[test]
    fn a_word_that_was_tampered_with_or_is_out_of_time_counts_for_nothing() {
        let bench = Bench::new();
        let old = der(bench.old.certificate_pem());
        let (new, cross) = successor(&bench.old);
        let (new, cross) = (der(new.certificate_pem()), der(&cross));
        let added = |told: &[Vec<u8>], now| adopt(&bench.identity, told, now).map_or(0, |adopted| adopted.added);
        assert_eq!(added(&[old.clone(), new.clone(), cross.clone()], NOW), 1);
        // The algorithm's name beside the signature is not signed; the signed part has it too.
        let unsigned = cross.len() - 74..cross.len() - 67;
        for at in (0..cross.len()).filter(|at| !unsigned.contains(at)) {
            let mut bent = cross.clone();
            bent[at] ^= 1;
            assert_eq!(added(&[old.clone(), new.clone(), bent], NOW), 0, "byte {at}");
        }
        for now in [NOW.plus_secs(-400), NOW.plus_secs(3651 * 86_400)] {
            assert_eq!(added(&[old.clone(), new.clone(), cross.clone()], now), 0);
        }
    }
}
