//! What an access body does: it makes its key, writes and signs permits, takes them back, and tells the network so.
//!
//! ```text
//! keys new ─▶ permit new ─▶ (written by people) ─▶ permit sign ─▶ X.permit, to its holder
//!                                      permit revoke, permit list ─▶ revocations.list ─▶ permit publish ─▶ coordinator ─▶ every site
//! ```
//! Its secret key is read here and never leaves this process. Nothing here asks a hospital anything.

mod args;
mod before;
mod contracts;
mod keys;
mod list;
mod request;
mod show;
mod verify;

use bocage_protocol::contract::Contract;
use bocage_protocol::env::Entropy;
use bocage_protocol::front::{PermitContext, permit};
use bocage_protocol::settings::{Problem, Problems};
use bocage_protocol::trust::{SecretKey, SignedPermit};

pub use args::{KeysArgs, PermitArgs};
pub use request::Request;

/// Signs the permit that a text describes. `file` names the text in problems.
///
/// # Errors
/// All problems of the text at once.
pub fn sign(
    text: &str,
    file: &str,
    key: &SecretKey,
    contracts: Option<&[Contract]>,
    entropy: &mut dyn Entropy,
) -> Result<SignedPermit, Problems> {
    let mut nonce = [0; 16];
    entropy.fill(&mut nonce);
    let permit = permit(text, file, &PermitContext { issuer: key.public(), contracts, nonce })?;
    SignedPermit::sign(&permit, key).map_err(|error| Problem::new(file, "", error.message).into())
}
