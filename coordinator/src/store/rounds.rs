//! Until when the later rounds of a study are to be answered. The first has it from the study's acceptance.

use bocage_protocol::env::Timestamp;
use bocage_protocol::ids::StudyId;
use rusqlite::{OptionalExtension as _, params};

use super::{StoreError, StoreFile};

pub(super) const TABLE: &str = "
    create table rounds (
        study text not null references studies (id),
        round integer not null,
        answer_by integer not null,
        primary key (study, round)
    ) strict, without rowid;
";

impl StoreFile {
    /// Begins a round that is to be answered until then, while the study takes answers. Says until when it is: a round that has begun keeps its time.
    pub fn begin_round(&mut self, study: StudyId, round: u16, answer_by: Timestamp) -> Result<Timestamp, StoreError> {
        self.while_open(study, |db| {
            let sql = "insert or ignore into rounds (study, round, answer_by) values (?, ?, ?)";
            db.execute(sql, params![study.to_string(), round, answer_by.0])
        })?;
        let sql = "select answer_by from rounds where study = ? and round = ?";
        let begun = self.db.query_row(sql, params![study.to_string(), round], |row| row.get(0)).optional()?;
        Ok(begun.map_or(answer_by, Timestamp))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{START, signed};

    #[test]
    fn a_round_keeps_the_time_that_it_began_with_and_the_study_has_that_of_its_newest() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = StoreFile::open(dir.path()).unwrap();
        let study = signed(1);
        let at = |secs| START.plus_secs(secs);
        store.accept(&study, START, at(600)).unwrap();
        let answer_by = |store: &mut StoreFile| store.study(study.id()).unwrap().unwrap().answer_by;
        assert_eq!(answer_by(&mut store), at(600));
        assert_eq!(store.begin_round(study.id(), 1, at(900)).unwrap(), at(900));
        assert_eq!(store.begin_round(study.id(), 2, at(1000)).unwrap(), at(1000));
        drop(store);
        let mut store = StoreFile::open(dir.path()).unwrap();
        assert_eq!(store.begin_round(study.id(), 1, at(5000)).unwrap(), at(900), "taken up anew");
        assert_eq!(answer_by(&mut store), at(1000));
        store.decide_deadline(study.id(), at(1000)).unwrap();
        assert_eq!(store.begin_round(study.id(), 3, at(1600)).unwrap(), at(1600));
        assert_eq!(answer_by(&mut store), at(1000), "what is decided begins nothing");
    }
}
