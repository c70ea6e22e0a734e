//! What may begin now: quiet hours, limits of studies, and caps on cells. It is asked while the ledger is held, between what is
//! counted and what is reserved, so that no two studies can both have the last place.

use bocage_protocol::env::Timestamp;
use bocage_protocol::error::{ErrorCode, PublicError};
use bocage_protocol::ids::{ContractId, Digest};
use bocage_protocol::plan::ValidPlan;

use super::policy::{Cap, Effective, Limit, fits};
use crate::config::quiet::Quiet;
use crate::custodian::controls::{Control, Controls};
use crate::custodian::ledger::Books;
use crate::custodian::ledger::bodies::{Account, Reservation};

const DAY_MS: i64 = 86_400_000;

/// Whether a study may begin at this moment.
///
/// # Errors
/// `policy_later`: the round may be asked again.
pub fn may_begin(policy: &Effective, now: Timestamp, books: &Books) -> Result<(), PublicError> {
    if let Some(quiet) = policy.quiet.iter().find(|quiet| quiet.holds(now)) {
        // Others may follow upon these.
        let end = Quiet::end(&policy.quiet, now).map(|end| format!(", until {}", quiet.clock(end))).unwrap_or_default();
        return later(format!("the site begins no study in its quiet hours, {quiet}{end}"));
    }
    for limit in &policy.limits {
        has_place(limit, now, books)?;
        let Limit { by, of, per_day, .. } = limit;
        let counted = |account: &Account| fits(of, account);
        if per_day.is_some_and(|most| books.begun_since(now.plus_secs(-DAY_MS / 1000), counted) >= most as usize) {
            return later(format!("as many studies have begun at the site within 24 hours as it allows ({by})"));
        }
    }
    Ok(())
}

fn has_place(limit: &Limit, now: Timestamp, books: &Books) -> Result<(), PublicError> {
    let Limit { by, of, concurrent, .. } = limit;
    let taken = concurrent.is_some_and(|most| books.open(now, |account| fits(of, account)) >= most as usize);
    if taken { later(format!("as many studies are open at the site as it answers at a time ({by})")) } else { Ok(()) }
}

fn later(message: String) -> Result<(), PublicError> {
    Err(PublicError::new(ErrorCode::PolicyLater, message).hint("the round is asked again; nothing need be done"))
}

/// Whether the cells of a reservation may leave. Those of questions that its account has paid for before cost nothing.
///
/// # Errors
/// `cap_reached`.
pub fn within_cap(
    controls: Controls,
    cap: Option<&Cap>,
    reservation: &Reservation,
    books: &Books,
) -> Result<(), PublicError> {
    let Some(account) = &reservation.account else { return Ok(()) };
    let cost = |dataset: &ContractId| books.cost(account, dataset, &reservation.spend);
    account.datasets().try_for_each(|dataset| has_left(controls, cap, account, dataset, cost(dataset), books))
}

/// Whether these plans can still be answered at all, on whatever snapshot. Before anybody is asked about them: [`within_cap`] has the last word.
///
/// # Errors
/// `cap_reached`.
pub fn may_fit(
    controls: Controls,
    cap: Option<&Cap>,
    account: &Account,
    plans: &[(u16, ValidPlan)],
    books: &Books,
) -> Result<(), PublicError> {
    let plans: Vec<(Digest, u64)> = plans.iter().map(|(_, plan)| (plan.digest(), plan.most_cells() as u64)).collect();
    let cost = |dataset: &ContractId| books.least_cost(account, dataset, plans.iter().copied());
    account.datasets().try_for_each(|dataset| has_left(controls, cap, account, dataset, cost(dataset), books))
}

fn has_left(
    controls: Controls,
    cap: Option<&Cap>,
    account: &Account,
    dataset: &ContractId,
    new: u64,
    books: &Books,
) -> Result<(), PublicError> {
    let Some(Cap { most, by }) = cap else { return Ok(()) };
    let spent = books.spent(account, dataset);
    if new == 0 || spent.saturating_add(new) <= *most {
        return Ok(());
    }
    let message = format!(
        "{new} cells are asked, and {} of the {most} that may leave of {dataset} are left ({by})",
        most.saturating_sub(spent)
    );
    let error = PublicError::new(ErrorCode::CapReached, message);
    controls.hold(Control::Cap, Err(error.hint("ask for fewer cells, or the access body for another permit")))
}
