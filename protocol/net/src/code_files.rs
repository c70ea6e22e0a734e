//! The files of code lists that a study's text names. They lie where the text's own file does.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use bocage_protocol::front::{Files, StudyText};
use bocage_protocol::limits::CODES_TEXT_BYTES;

/// The text with what its files hold. A file that cannot be read is said where the text names it, when it is bound.
#[must_use]
pub fn with_code_files(text: StudyText, study: &Path) -> StudyText {
    let folder = study.parent().unwrap_or(Path::new(""));
    let files: Files = text.files().into_iter().map(|name| (name.to_owned(), read(&folder.join(name)))).collect();
    text.with_files(files)
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
        let at = |name: &str| read(&folder.path().join("study.toml").parent().unwrap().join(name));
        assert_eq!(at("list.csv").as_deref(), Ok("E10\n"));
        assert_eq!(at("latin.csv"), Err("it is not text in UTF-8".to_owned()));
        assert_eq!(at("none.csv"), Err("entity not found".to_owned()));
    }
}
