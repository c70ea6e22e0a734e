//! The names that a view reads. What has another name is skipped where it stands, without being looked into.

/// A name, as its position in [`Names`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(u16);

/// The names of one view. Looked up once for each key of each resource, so they stand by their lengths.
#[derive(Debug, Clone)]
pub struct Names {
    by_length: Vec<Vec<(Box<str>, Name)>>,
    count: u16,
}

/// What every view needs: kinds, keys and references of resources.
impl Names {
    /// `resourceType`.
    pub const RESOURCE_TYPE: Name = Name(0);
    /// `id`.
    pub const ID: Name = Name(1);
    /// `reference`.
    pub const REFERENCE: Name = Name(2);
    /// `type`.
    pub const TYPE: Name = Name(3);
    /// `url`.
    pub const URL: Name = Name(4);
    /// `extension`.
    pub const EXTENSION: Name = Name(5);
}

impl Default for Names {
    fn default() -> Self {
        let mut names = Self { by_length: Vec::new(), count: 0 };
        for name in ["resourceType", "id", "reference", "type", "url", "extension"] {
            names.name(name);
        }
        names
    }
}

impl Names {
    /// The name for a text, added if it is new. Texts beyond 65,535 names share the last one's fate: they are found nowhere.
    pub fn name(&mut self, text: &str) -> Name {
        if let Some(name) = self.find(text) {
            return name;
        }
        let name = Name(self.count);
        self.count = self.count.saturating_add(1);
        if self.by_length.len() <= text.len() {
            self.by_length.resize(text.len() + 1, Vec::new());
        }
        self.by_length[text.len()].push((text.into(), name));
        name
    }

    /// The name of this text, if the view reads it.
    pub fn find(&self, text: &str) -> Option<Name> {
        let alike = self.by_length.get(text.len())?;
        alike.iter().find(|(known, _)| &**known == text).map(|(_, name)| *name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_by_its_text_and_no_other_text_is() {
        let mut names = Names::default();
        let code = names.name("code");
        assert_eq!(names.name("code"), code);
        assert_eq!(names.find("code"), Some(code));
        assert_eq!([names.find("id"), names.find("type")], [Some(Names::ID), Some(Names::TYPE)]);
        assert_eq!(
            [names.find("resourceType"), names.find("extension")],
            [Some(Names::RESOURCE_TYPE), Some(Names::EXTENSION)]
        );
        assert_eq!([names.find("cod"), names.find("codes"), names.find("")], [None, None, None]);
    }
}
