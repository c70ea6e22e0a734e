//! What was revoked by an operator's commands, kept beside their token. A coordinator that was put back from a backup has forgotten what came after
//! it, and a stolen key would be good again: from here it is brought back.

use std::path::PathBuf;

use bocage_net::secret::write_atomically;
use bocage_protocol::ids::SiteId;
use bocage_protocol::settings::{Problem, Problems};

use super::{ClientError, Profile, read_file};
use crate::api::types::{RevokedInfo, RevokedList};
use crate::report::json;

/// The file's name, in the folder of the token.
const FILE: &str = "revoked.json";
/// The most that is read: some 100,000 entries.
const BYTES: usize = 16 << 20;

/// A list of revocations in a file.
#[derive(Debug)]
pub(super) struct Remembered {
    file: PathBuf,
    list: Vec<RevokedInfo>,
}

impl Remembered {
    /// That of a profile; empty where there is none yet.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn of(profile: &Profile) -> Result<Self, ClientError> {
        let file = profile.token_file.with_file_name(FILE);
        if file.exists() { Self::read(file) } else { Ok(Self { file, list: Vec::new() }) }
    }

    /// A file that `network revoked --format json` or this wrote.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(file: PathBuf) -> Result<Self, ClientError> {
        let text = read_file(&file, BYTES)?;
        let list: RevokedList = serde_json::from_str(&text).map_err(|error| {
            let problem = Problem::new(&file.display().to_string(), "", format!("not a list of revocations: {error}"));
            Problems::from(problem.hint("`bocage network revoked --format json` writes one"))
        })?;
        Ok(Self { file, list: list.revoked })
    }

    /// Keeps one more, in the place of what was known of the same.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn add(&mut self, new: RevokedInfo) -> Result<(), ClientError> {
        self.list.retain(|of| !same(of, &new.site, new.serial.as_deref()));
        self.list.push(new);
        self.write()
    }

    /// Forgets what was lifted: one certificate, or all of a site but what the coordinator, which refuses `in_force`, goes on to refuse of it: what the site
    /// had before it enrolled anew stays refused there, and must be again after a backup is put back.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn lift(&mut self, site: &SiteId, serial: Option<&str>, in_force: &[RevokedInfo]) -> Result<(), ClientError> {
        let before = self.list.clone();
        self.list.retain(|of| of.site != *site || (serial.is_some() && of.serial.as_deref() != serial));
        if serial.is_none() {
            self.list.extend(in_force.iter().filter(|of| of.site == *site).cloned());
        }
        if self.list == before { Ok(()) } else { self.write() }
    }

    /// What the coordinator, which refuses `in_force`, does not know any more.
    pub fn forgotten(&self, in_force: &[RevokedInfo]) -> Vec<RevokedInfo> {
        let known = |of: &RevokedInfo| {
            in_force.iter().any(|other| same(other, &of.site, of.serial.as_deref()) && other.at >= of.at)
        };
        self.list.iter().filter(|of| !known(of)).cloned().collect()
    }

    fn write(&self) -> Result<(), ClientError> {
        let text = json(&RevokedList { revoked: self.list.clone() });
        write_atomically(&self.file, text.as_bytes(), 0o600).map_err(|error| ClientError::Secret(error.to_string()))
    }
}

fn same(of: &RevokedInfo, site: &SiteId, serial: Option<&str>) -> bool {
    of.site == *site && of.serial.as_deref() == serial
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bocage_protocol::env::Timestamp;

    use super::*;

    fn revoked(site: &str, serial: Option<&str>, at: i64) -> RevokedInfo {
        let serial = serial.map(str::to_owned);
        RevokedInfo {
            site: site.parse().unwrap(),
            serial,
            at: Timestamp(at),
            reason: "stolen".into(),
            enrolled_anew: false,
        }
    }

    fn remembered(dir: &Path) -> Remembered {
        let text =
            format!("coordinator = \"http://127.0.0.1:1\"\nnetwork = \"north\"\ntoken_file = {:?}\n", dir.join("t"));
        Remembered::of(&Profile::parse(&text, &dir.join("profile.toml")).unwrap()).unwrap()
    }

    #[test]
    fn what_was_revoked_and_not_lifted_and_the_coordinator_does_not_refuse_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        for of in
            [revoked("aa", None, 5), revoked("bb", Some("01"), 6), revoked("bb", Some("02"), 7), revoked("cc", None, 8)]
        {
            remembered(dir.path()).add(of).unwrap();
        }
        remembered(dir.path()).lift(&"cc".parse().unwrap(), None, &[]).unwrap();
        remembered(dir.path()).lift(&"bb".parse().unwrap(), Some("02"), &[]).unwrap();
        let kept = remembered(dir.path());
        assert_eq!(kept.forgotten(&[]), [revoked("aa", None, 5), revoked("bb", Some("01"), 6)]);
        // It has enrolled anew since, which ended it.
        let anew = RevokedInfo { enrolled_anew: true, ..revoked("aa", None, 5) };
        assert_eq!(kept.forgotten(&[anew]), [revoked("bb", Some("01"), 6)]);
        // An earlier one of the same site, which the backup still had, does not stand for it.
        let earlier = RevokedInfo { enrolled_anew: true, ..revoked("aa", None, 4) };
        assert_eq!(kept.forgotten(&[earlier, revoked("bb", None, 9)]).len(), 2);
    }

    #[test]
    fn what_a_lift_leaves_refused_is_remembered_for_a_coordinator_that_forgets_it() {
        let dir = tempfile::tempdir().unwrap();
        for of in [revoked("aa", None, 5), revoked("aa", Some("01"), 6), revoked("bb", None, 7)] {
            remembered(dir.path()).add(of).unwrap();
        }
        // The stolen key is one from before the site enrolled anew, which a lift does not open.
        let left = RevokedInfo { enrolled_anew: true, ..revoked("aa", None, 6) };
        let in_force = [left.clone(), revoked("bb", None, 7)];
        remembered(dir.path()).lift(&"aa".parse().unwrap(), None, &in_force).unwrap();
        let kept = remembered(dir.path());
        assert_eq!(kept.forgotten(&in_force), []);
        assert_eq!(kept.forgotten(&[]), [revoked("bb", None, 7), left], "a backup from before all this was put back");
    }

    #[test]
    fn a_file_that_is_no_list_is_an_error_and_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(FILE);
        std::fs::write(&file, "{").unwrap();
        let error = Remembered::read(file.clone()).unwrap_err().to_string();
        assert!(error.contains("not a list of revocations") && error.contains("--format json"), "{error}");
        assert_eq!(std::fs::read_to_string(file).unwrap(), "{");
    }
}
