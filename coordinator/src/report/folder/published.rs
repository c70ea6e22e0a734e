//! Whether a coordinator signed the result, and which one. Only the coordinator's key makes such a signature: the researcher, who signs the folder, cannot
//! put another in its place, but can leave it out. So whoever knows the coordinator's key demands it.

use bocage_protocol::settings::Problem;
use bocage_protocol::trust::{Entry, PUBLICATION, PublicKey, Publication, SignedPublication};

use super::Materials;

/// What to do where a signature and a result do not belong together.
const FETCH: &str =
    "one of them was altered since the coordinator published it: fetch the report, bocage study result ID --out DIR";

/// A signature that fits its study and its result.
#[derive(Debug, Clone)]
pub(super) struct Published {
    pub signed: SignedPublication,
    pub said: Publication,
}

impl Published {
    /// Holds a signature against these materials.
    ///
    /// # Errors
    /// It was altered, or is of another study or result.
    pub fn of(materials: &Materials, signed: SignedPublication) -> Result<Self, Problem> {
        let said = signed.verify().map_err(|error| Problem::new(PUBLICATION, "", error.message).hint(FETCH))?;
        let other = |key, message| Err(Problem::new(PUBLICATION, key, message).hint(FETCH));
        if said.study != materials.signed().id() {
            return other("study", "it is of another study than the one in the folder");
        }
        if said.result != Entry::of(materials.result_text().as_bytes()) {
            return other("result", "the coordinator published another result than the one in the folder");
        }
        Ok(Self { signed, said })
    }

    /// Reads what stands in a folder.
    ///
    /// # Errors
    /// As [`Published::of`].
    pub fn read(materials: &Materials, text: &str) -> Result<Self, Problem> {
        let signed =
            SignedPublication::from_text(text).map_err(|error| Problem::new(PUBLICATION, "", error.message))?;
        Self::of(materials, signed)
    }
}

/// Why a result is not the one that the coordinator with the key `wanted` published.
pub(super) fn lacks(found: Option<PublicKey>, wanted: PublicKey) -> Option<Problem> {
    match found {
        Some(found) if found == wanted => None,
        Some(found) => {
            let message = format!("{found} published the result, and not {wanted}");
            let hint = "ask the coordinator's operator which key is its own, and which were before";
            Some(Problem::new(PUBLICATION, "publisher", message).hint(hint))
        }
        None => {
            let message = format!("it is missing: nothing shows that {wanted} published the result");
            let hint =
                "ask for the whole folder; an older coordinator signs once it is upgraded: then fetch the report anew";
            Some(Problem::new(PUBLICATION, "", message).hint(hint))
        }
    }
}
