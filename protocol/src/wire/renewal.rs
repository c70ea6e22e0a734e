//! What a node asks for itself, from protocol version [`super::hello::RENEWAL`] on: which roots are in force, and a new certificate; and that it is about to
//! move to another link. It opens a stream for each request; the agent asks, and the custodian knows nothing of it.
//!
//! ```text
//! agent ──NodeRequest──▶ coordinator
//! agent ◀──NodeReply──── coordinator
//! ```
//! Changing anything here changes the wire: see [`super::message`].

use serde::{Deserialize, Serialize};

use crate::error::PublicError;
use crate::ids::Digest;
use crate::limits::{CERTIFICATE_BYTES, CHAIN, ROOTS};

/// What a node asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeRequest {
    /// Which roots are in force, and whether the node is to renew its certificate before its time. It says which roots it trusts ([`root_digest`]), at
    /// most [`ROOTS`], so that an operator sees when the old one may go.
    Roots(Vec<Digest>),
    /// A certificate for a new key: a certificate request (PKCS#10, DER) of at most [`CERTIFICATE_BYTES`]. Nothing counts of it but the key and the proof
    /// that the node holds it; the site is the one that the session's certificate names.
    Renew(Vec<u8>),
    /// Nothing, but a notice: the node is about to greet on another link, and this session is to answer what it has been asked. Without it a newer session
    /// ends the older one at once.
    Moves,
}

/// What the coordinator answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeReply {
    /// To [`NodeRequest::Roots`].
    Roots {
        /// The roots in force and the certificates by which one vouches for the next, in DER: at most [`ROOTS`].
        roots: Vec<Vec<u8>>,
        /// Whether the node's certificate comes from an authority that is being replaced.
        renew: bool,
    },
    /// To [`NodeRequest::Renew`].
    Renewed {
        /// The certificate, and those that lead to a root, in DER: at most [`CHAIN`].
        chain: Vec<Vec<u8>>,
        /// As in [`NodeReply::Roots`].
        roots: Vec<Vec<u8>>,
    },
    /// No, and why.
    Refused(PublicError),
    /// To [`NodeRequest::Moves`].
    Noted,
}

impl NodeRequest {
    /// Whether it keeps its bounds.
    pub fn is_bounded(&self) -> bool {
        match self {
            Self::Roots(held) => held.len() <= ROOTS,
            Self::Renew(request) => request.len() <= CERTIFICATE_BYTES,
            Self::Moves => true,
        }
    }
}

impl NodeReply {
    /// Whether it keeps its bounds.
    pub fn is_bounded(&self) -> bool {
        let small =
            |list: &[Vec<u8>], most| list.len() <= most && list.iter().all(|der| der.len() <= CERTIFICATE_BYTES);
        match self {
            Self::Roots { roots, .. } => small(roots, ROOTS),
            Self::Renewed { chain, roots } => small(chain, CHAIN) && small(roots, ROOTS),
            Self::Refused(_) | Self::Noted => true,
        }
    }
}

/// How a root is named: a hash of its certificate.
pub fn root_digest(der: &[u8]) -> Digest {
    Digest::of("bocage/root/1", &[der])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_or_too_much_is_told() {
        assert!(NodeRequest::Renew(vec![0; CERTIFICATE_BYTES]).is_bounded());
        assert!(!NodeRequest::Renew(vec![0; CERTIFICATE_BYTES + 1]).is_bounded());
        assert!(!NodeRequest::Roots(vec![root_digest(b""); ROOTS + 1]).is_bounded());
        let roots = |count, bytes| NodeReply::Roots { roots: vec![vec![0; bytes]; count], renew: false };
        assert!(roots(ROOTS, CERTIFICATE_BYTES).is_bounded());
        assert!(!roots(ROOTS + 1, 1).is_bounded() && !roots(1, CERTIFICATE_BYTES + 1).is_bounded());
        let renewed = |count| NodeReply::Renewed { chain: vec![vec![0]; count], roots: vec![] };
        assert!(renewed(CHAIN).is_bounded() && !renewed(CHAIN + 1).is_bounded());
    }
}
