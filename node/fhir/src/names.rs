//! The names that a view reads. What has another name is skipped where it stands, without being looked into.

/// A name, as its position in [`Names`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(u16);

/// The names of one view. Looked up once for each key of each resource, so they stand by their lengths.
#[derive(Debug, Clone)]
pub struct Names {
    by_length: Vec<Vec<Known>>,
    count: u16,
}

#[derive(Debug, Clone)]
struct Known {
    /// Of the text's ends: few texts of one length have the same.
    ends: u64,
    text: Box<str>,
    name: Name,
}

/// Some names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NameSet(Vec<u64>);

impl NameSet {
    /// Adds one.
    pub fn add(&mut self, name: Name) {
        let (word, bit) = (usize::from(name.0 / 64), name.0 % 64);
        self.0.resize(self.0.len().max(word + 1), 0);
        self.0[word] |= 1 << bit;
    }

    /// Whether it is one of them.
    pub fn contains(&self, name: Name) -> bool {
        self.0.get(usize::from(name.0 / 64)).is_some_and(|word| word >> (name.0 % 64) & 1 == 1)
    }
}

impl FromIterator<Name> for NameSet {
    fn from_iter<I: IntoIterator<Item = Name>>(names: I) -> Self {
        names.into_iter().fold(Self::default(), |mut set, name| {
            set.add(name);
            set
        })
    }
}

fn ends(text: &str) -> u64 {
    let bytes = text.as_bytes();
    let word = |bytes: &[u8]| bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
    match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        (Some(first), Some(last)) => u64::from_le_bytes(*first) ^ u64::from_le_bytes(*last).rotate_left(32),
        _ => word(bytes),
    }
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
        self.by_length[text.len()].push(Known { ends: ends(text), text: text.into(), name });
        name
    }

    /// The name of this text, if the view reads it.
    pub fn find(&self, text: &str) -> Option<Name> {
        let alike = self.by_length.get(text.len())?;
        let ends = ends(text);
        alike.iter().find(|known| known.ends == ends && &*known.text == text).map(|known| known.name)
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
        for same_ends in ["valueReference", "value__ference", "valueRefer__ce"] {
            assert_eq!(names.find(same_ends), None);
        }
        let set: NameSet = [code, Names::URL].into_iter().collect();
        assert_eq!([code, Names::URL, Names::ID].map(|name| set.contains(name)), [true, true, false]);
        assert_eq!([names.find("cod"), names.find("codes"), names.find("")], [None, None, None]);
    }
}
