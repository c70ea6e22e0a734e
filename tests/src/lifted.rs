//! A control that a node of the lab binary is without: what an attack on real processes compares with.

use bocage_node::custodian::{Control, Controls};

/// The environment variable of the lab binary (not of the product) that names the control.
const VARIABLE: &str = "BOCAGE_LAB_LIFTED";

/// The environment entry for a node without it.
pub fn env(control: Control) -> (String, String) {
    (VARIABLE.to_owned(), format!("{control:?}"))
}

/// The process's side: everything, but for what the environment names.
pub fn from_env() -> Controls {
    let named = std::env::var(VARIABLE).ok();
    let lifted = Control::ALL.into_iter().find(|control| named.as_deref() == Some(&format!("{control:?}")));
    lifted.map_or_else(Controls::default, |control| Controls::default().without(control))
}
