//! A scenario: one attack, and the control that stands against it, or the two that both do. The attack is the same code both times.

use bocage_node::custodian::{Control, Controls};

/// Whether the control of a scenario is enforced while the attack runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    On,
    Off,
}

impl Guard {
    /// A node's controls: all, or all but these.
    pub fn but(self, controls: &[Control]) -> Controls {
        match self {
            Guard::On => Controls::default(),
            Guard::Off => controls.iter().fold(Controls::default(), |all, control| all.without(*control)),
        }
    }
}

type Attack = Box<dyn Fn(Guard) -> bool + Send + Sync>;

/// One attack against one control.
pub struct Scenario {
    pub family: &'static str,
    pub name: String,
    pub control: String,
    /// Whether "off" is what lies below the control, and not the same node without it.
    pub comparison: bool,
    /// Whether the attacker got what they wanted.
    pub attack: Attack,
}

/// The scenarios of a family.
pub struct Family {
    name: &'static str,
    scenarios: Vec<Scenario>,
}

impl Family {
    pub fn new(name: &'static str) -> Self {
        Self { name, scenarios: Vec::new() }
    }

    /// An attack that a control of the node is in the way of.
    pub fn against(
        self,
        control: Control,
        name: impl Into<String>,
        attack: impl Fn(Controls) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.against_all([control], name, attack)
    }

    /// An attack that several controls are in the way of, of which one alone would do.
    pub fn against_all<const N: usize>(
        self,
        controls: [Control; N],
        name: impl Into<String>,
        attack: impl Fn(Controls) -> bool + Send + Sync + 'static,
    ) -> Self {
        let named: Vec<String> = controls.iter().map(|control| words(*control)).collect();
        self.lifted(named.join(", "), name, move |guard| attack(guard.but(&controls)))
    }

    /// An attack on processes that are started with the control and without it.
    pub fn lifted(
        self,
        control: impl Into<String>,
        name: impl Into<String>,
        attack: impl Fn(Guard) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.with(control, name, false, attack)
    }

    /// An attack whose control nobody can take away, for what it holds is no node's choice. It is compared with what lies below: a lower function, a
    /// reader that does not look, or what would be true if the control were not there.
    pub fn beside(
        self,
        control: impl Into<String>,
        name: impl Into<String>,
        attack: impl Fn(Guard) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.with(control, name, true, attack)
    }

    fn with(
        mut self,
        control: impl Into<String>,
        name: impl Into<String>,
        comparison: bool,
        attack: impl Fn(Guard) -> bool + Send + Sync + 'static,
    ) -> Self {
        let (family, name, control, attack) = (self.name, name.into(), control.into(), Box::new(attack));
        self.scenarios.push(Scenario { family, name, control, comparison, attack });
        self
    }

    pub fn scenarios(self) -> Vec<Scenario> {
        self.scenarios
    }
}

/// `ValueSpread` as `value spread`.
fn words(control: Control) -> String {
    let mut words = String::new();
    for letter in format!("{control:?}").chars() {
        if letter.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
    }
    words
}

/// An attack that succeeds although every control is on: `docs/PRIVACY.md` says so. Who closes it makes it a scenario.
pub struct Open {
    pub name: &'static str,
    pub why: &'static str,
    pub attack: fn() -> bool,
}
