//! The files of code lists, standard populations and earlier answers that a study's text names. They lie where the text's own file does.

use std::fs::File;
use std::io::Read as _;
use std::path::{Component, Path};

use bocage_protocol::front::{Files, StudyText};
use bocage_protocol::limits::CODES_TEXT_BYTES;

/// The text with what its files hold. A file that cannot be read is said where the text names it, when it is bound.
#[must_use]
pub fn with_code_files(text: StudyText, study: &Path) -> StudyText {
    let folder = study.parent().unwrap_or(Path::new(""));
    let read = |name: String| {
        let held = beside(folder, &name);
        (name, held)
    };
    let files: Files = text.files().into_iter().map(read).collect();
    text.with_files(files)
}

/// What a file in the study's own folder, or below it, holds. A study that came from elsewhere must not take other files of this machine along.
fn beside(folder: &Path, name: &str) -> Result<String, String> {
    if Path::new(name).components().all(|part| matches!(part, Component::Normal(_))) {
        read(&folder.join(name))
    } else {
        Err("it does not lie in the folder of the study's own text, nor below it".to_owned())
    }
}

fn read(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    let within = CODES_TEXT_BYTES as u64 + 1;
    let read = File::open(path).and_then(|file| file.take(within).read_to_end(&mut bytes));
    match read {
        Err(error) => Err(error.kind().to_string()),
        Ok(_) if bytes.len() > CODES_TEXT_BYTES => Err(format!("larger than {CODES_TEXT_BYTES} bytes")),
        Ok(_) => String::from_utf8(bytes).map_err(|_| "it is not text in UTF-8".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_lie_beside_the_study_and_what_cannot_be_read_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("list.csv"), "E10\n").unwrap();
        std::fs::write(folder.path().join("latin.csv"), b"E10 \xe9\n").unwrap();
        let at = |name: &str| beside(folder.path(), name);
        assert_eq!(at("list.csv").as_deref(), Ok("E10\n"));
        assert_eq!(at("latin.csv"), Err("it is not text in UTF-8".to_owned()));
        assert_eq!(at("none.csv"), Err("entity not found".to_owned()));
        std::fs::create_dir(folder.path().join("codes")).unwrap();
        std::fs::write(folder.path().join("codes/list.csv"), "E11\n").unwrap();
        assert_eq!(at("codes/list.csv").as_deref(), Ok("E11\n"));
        let absolute = folder.path().join("list.csv");
        for elsewhere in ["../list.csv", "codes/../../list.csv", absolute.to_str().unwrap()] {
            assert!(at(elsewhere).unwrap_err().starts_with("it does not lie in the folder"), "{elsewhere}");
        }
    }
}
