//! Whose studies are whose: a study belongs to every user who handed it in, and nobody else sees it but operators.

use bocage_protocol::ids::{StudyId, UserName};
use rusqlite::params;

use super::{PeopleError, PeopleFile};

impl PeopleFile {
    /// Writes down that a user handed a study in.
    pub fn own(&mut self, user: &UserName, study: StudyId) -> Result<(), PeopleError> {
        let sql = "insert or ignore into owners (user, study) values (?, ?)";
        self.db.execute(sql, params![user.as_str(), study.to_string()])?;
        Ok(())
    }

    /// Whether they did.
    pub fn owns(&mut self, user: &UserName, study: StudyId) -> Result<bool, PeopleError> {
        let sql = "select exists (select 1 from owners where user = ? and study = ?)";
        let key = params![user.as_str(), study.to_string()];
        Ok(self.db.prepare_cached(sql)?.query_row(key, |row| row.get(0))?)
    }

    /// The studies that they handed in, the latest first, at most `most`.
    pub fn owned(&mut self, user: &UserName, most: usize) -> Result<Vec<StudyId>, PeopleError> {
        let sql = "select study from owners where user = ? order by position desc limit ?";
        let mut select = self.db.prepare_cached(sql)?;
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let rows = select.query_map(params![user.as_str(), most], |row| row.get::<_, String>(0))?;
        rows.map(|id| id?.parse().map_err(|_| PeopleError::Damaged("a study's id"))).collect()
    }
}
