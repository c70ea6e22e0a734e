//! A unit file in the making. Values are typed names and our own words; what would be syntax in one is escaped all the same.

/// A systemd unit.
pub struct Unit(String);

impl Unit {
    /// A unit with a line about it.
    pub fn new(about: &str) -> Self {
        let mut unit = Self("# Rendered by `bocage network render`; a change belongs into network.toml or into a drop-in (systemctl edit).\n".to_owned());
        unit.section("Unit").set("Description", about);
        unit
    }

    /// `[NAME]`.
    pub fn section(&mut self, name: &str) -> &mut Self {
        self.0.push_str(&format!("{}[{name}]\n", if name == "Unit" { "" } else { "\n" }));
        self
    }

    /// `KEY=VALUE`.
    pub fn set(&mut self, key: &str, value: impl AsRef<str>) -> &mut Self {
        let value: String = value.as_ref().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.0.push_str(&format!("{key}={}\n", value.replace('%', "%%")));
        self
    }

    /// Several of them.
    pub fn all(&mut self, pairs: &[(&str, &str)]) -> &mut Self {
        for (key, value) in pairs {
            self.set(key, value);
        }
        self
    }

    /// A line for people.
    pub fn comment(&mut self, text: &str) -> &mut Self {
        self.0.push_str(&format!("# {text}\n"));
        self
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_one_line_and_names_no_specifier() {
        let mut unit = Unit::new("a\n[Service]\nExecStart=/bin/evil %i");
        unit.section("Service").set("User", "x\nUser=root");
        let lines: Vec<&str> = unit.text().lines().skip(1).collect();
        assert_eq!(
            lines,
            ["[Unit]", "Description=a [Service] ExecStart=/bin/evil %%i", "", "[Service]", "User=x User=root"]
        );
    }
}
