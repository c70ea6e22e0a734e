//! Key files: made once, never overwritten, read by their owner alone.

use std::path::Path;

use bocage_coordinator::client::{ClientError, read_file};
use bocage_net::env::SystemEntropy;
use bocage_net::secret::{read_secret_text, write_secret};
use bocage_protocol::limits;
use bocage_protocol::settings::{Problem, Problems};
use bocage_protocol::trust::{PublicKey, SecretKey};

/// Makes a key in a new file of mode 0600, in a folder that is there; answers its public half.
pub(super) fn make(file: &Path) -> Result<PublicKey, ClientError> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        let problem = Problem::new(&file.display().to_string(), "", format!("there is no folder {}", folder.display()));
        let whole = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let hint = format!("make it first, readable by you alone: mkdir -p -m 700 {}", whole.display());
        return Err(Problems::from(problem.hint(hint)).into());
    }
    let key = SecretKey::generate(&mut SystemEntropy);
    write_secret(file, key.to_text().as_bytes()).map_err(|e| ClientError::Secret(e.to_string()))?;
    Ok(key.public())
}

/// The secret key in a file.
pub(super) fn secret(file: &Path) -> Result<SecretKey, ClientError> {
    let text = read_secret_text(file, limits::SECRET_FILE_BYTES).map_err(|e| ClientError::Secret(e.to_string()))?;
    SecretKey::from_text(&text).map_err(|e| ClientError::Secret(format!("{}: {e}", file.display())))
}

/// The public key in a file: written there as such, or the half of a secret one.
pub(super) fn public(file: &Path) -> Result<PublicKey, ClientError> {
    let text = zeroize::Zeroizing::new(read_file(file, limits::SECRET_FILE_BYTES)?);
    if let Ok(key) = text.parse() {
        return Ok(key);
    }
    if SecretKey::from_text(&text).is_ok() {
        return Ok(secret(file)?.public());
    }
    let problem = Problem::new(&file.display().to_string(), "", "there is no key in this file");
    Err(Problems::from(problem.hint("a line `ed25519:…` as `bocage keys show` prints it, or a secret key's file"))
        .into())
}
