//! `bocage-node doctor`.

use std::sync::Arc;

use bocage_keep::doctor::text;
use bocage_protocol::env::Clock;

use super::output::{Failure, Format, print, print_csv, print_json};
use crate::config::Origin;
use crate::doctor::examine;

/// Looks at everything and says what was found.
///
/// # Errors
/// Something failed, or a look broke.
pub fn run(origin: &Origin, clock: Arc<dyn Clock>, format: Format) -> Result<(), Failure> {
    let examined = examine(origin, &clock);
    match format {
        Format::Text => print(|out| text(out, &examined.findings))?,
        Format::Json => print_json(&examined.findings)?,
        Format::Csv => {
            let rows = examined.findings.iter().map(|finding| {
                let level = serde_json::to_value(finding.level).unwrap_or_default();
                let fix = finding.fix.clone().unwrap_or_default();
                let level = level.as_str().unwrap_or_default().to_owned();
                vec![finding.check.to_string(), level, finding.what.clone(), fix]
            });
            print_csv(&["check", "level", "what", "fix"], rows)?;
        }
    }
    match examined.exit_code() {
        0 => Ok(()),
        1 => Err(Failure::theirs("something needs mending").hint("each finding above says how")),
        _ => Err(Failure::ours("a look broke")),
    }
}
