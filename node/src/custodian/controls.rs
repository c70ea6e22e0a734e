//! What stands between an attacker and a patient, by name, so that a test can show what each control is worth: with it an attack fails,
//! without it the same attack succeeds.
//!
//! Each control is consulted in one place. A node always enforces all of them: that is the only value which configuration, command line or
//! environment can lead to. [`Controls::without`] is for the attack tests, and must never be called elsewhere (`tests/tests/tidy.rs`).

/// One control.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// k: nothing of fewer subjects is shown.
    Threshold,
    /// A total leaves only where every hidden cell keeps k possible values beside it.
    IntervalRule,
    /// No total beside the cells of patients who may be in several of them.
    OverlapTotal,
    /// A sum is of values that differ.
    ValueSpread,
    /// k subjects on either side of a condition.
    ConditionSides,
    /// Of a condition, nobody or k subjects without an answer.
    ConditionNulls,
    /// A model has patients enough for its parameters.
    ModelSize,
    /// k subjects in all that a model tells apart, and in each pair of it.
    ModelSides,
    /// The numbers of a model differ.
    ModelSpread,
    /// No patient has more than 1/k of a model's weights and residuals.
    ModelWeights,
    /// No patient has more than 1/k of a score that a study brings along.
    ModelScores,
    /// No patient has more than 1/k of a model's deviance, nor of Pearson's χ².
    ModelSquares,
    /// No patient has more than half of what a model's information says of any combination of columns.
    ModelLeverage,
    /// Of hazards, no stratum is small, k events come while enough are at risk, and none says more than 1/k of what is told of a column.
    ModelRiskSets,
    /// Of hazards with one baseline, who leaves in one interval, by the event or otherwise, could be a model's patients by themselves.
    ModelIntervals,
    /// Folds of patients are drawn by a key of the site, and are the same for every study.
    FoldSecret,
    /// Each fold, and all others without it, could be a model's patients by themselves.
    ModelFolds,
    /// Where the mode is `round`, what leaves is rounded.
    Rounding,
    /// Where the mode is `round`, models leave only if the policy says so.
    RoundModels,
    /// No patient has more than 1/k of a column's squared distances from its mean.
    MomentShares,
    /// Of a column of which the study says who has a value, nobody or k subjects have none.
    MomentNulls,
    /// A cluster is nobody, or k subjects with different values.
    ClusterGroups,
    /// Clusters of two answers differ by nobody or by k subjects.
    ClusterSteps,
    /// What leaves has the form that its receiver checks.
    ReleaseForm,
    /// The signer is one whom the site trusts.
    SignerTrust,
    /// The study is for this network.
    NetworkNamed,
    /// The study names this site.
    SiteNamed,
    /// The study is neither of the future nor expired.
    Validity,
    /// The researcher may ask about this dataset.
    DatasetAllowed,
    /// The site granted this researcher exact answers.
    ModeGranted,
    /// The site trusts the access body that signed the permit.
    IssuerTrust,
    /// The study relies on the permit that came with it, and its holder signed it.
    PermitBinding,
    /// Network, holder, purpose, dataset and `min_sites` are the permit's.
    PermitStudy,
    /// The permit covers every column that is read.
    PermitScope,
    /// The permit covers this site.
    PermitSites,
    /// The permit is valid now.
    PermitTime,
    /// The permit was not taken back, and the site would know.
    Revocation,
    /// The site's policy may refuse.
    PolicyDecides,
    /// Columns that the site never offers.
    NeverOffered,
    /// Cells are counted against the cap before anything is computed.
    Cap,
    /// Quiet hours, and how many studies may begin at a time and in a day.
    Pace,
    /// Where the policy asks, a person has said yes.
    Approval,
    /// An approval is the site's own, and of this very study.
    ApprovalSeal,
    /// An approval holds under the policy under which it was given.
    ApprovalPolicy,
    /// An approval ends.
    ApprovalEnd,
    /// Where two people must agree, one does not do.
    TwoPersons,
    /// While a pause lasts nothing leaves.
    Pause,
    /// A command brings what the agent cannot read.
    AdminToken,
    /// Who opted out is in no answer.
    OptOuts,
    /// Two answers differ by k patients or none, whoever opted out between them.
    OptOutSteps,
    /// No cell changes by fewer than k patients because of opt-outs.
    OptOutCells,
    /// A round asks analyses of its study, each once and in order.
    RoundShape,
    /// A round's steps never change.
    SameSteps,
    /// A round that left is handed out again as it left.
    RepeatFromLedger,
    /// A question that was answered is not computed again, whichever study asks.
    ReuseOfAnswers,
}

impl Control {
    /// All controls.
    pub const ALL: [Self; 55] = [
        Self::Threshold,
        Self::IntervalRule,
        Self::OverlapTotal,
        Self::ValueSpread,
        Self::ConditionSides,
        Self::ConditionNulls,
        Self::ModelSize,
        Self::ModelSides,
        Self::ModelSpread,
        Self::ModelWeights,
        Self::ModelScores,
        Self::ModelSquares,
        Self::ModelLeverage,
        Self::ModelRiskSets,
        Self::ModelIntervals,
        Self::FoldSecret,
        Self::ModelFolds,
        Self::Rounding,
        Self::RoundModels,
        Self::MomentShares,
        Self::MomentNulls,
        Self::ClusterGroups,
        Self::ClusterSteps,
        Self::ReleaseForm,
        Self::SignerTrust,
        Self::NetworkNamed,
        Self::SiteNamed,
        Self::Validity,
        Self::DatasetAllowed,
        Self::ModeGranted,
        Self::IssuerTrust,
        Self::PermitBinding,
        Self::PermitStudy,
        Self::PermitScope,
        Self::PermitSites,
        Self::PermitTime,
        Self::Revocation,
        Self::PolicyDecides,
        Self::NeverOffered,
        Self::Cap,
        Self::Pace,
        Self::Approval,
        Self::ApprovalSeal,
        Self::ApprovalPolicy,
        Self::ApprovalEnd,
        Self::TwoPersons,
        Self::Pause,
        Self::AdminToken,
        Self::OptOuts,
        Self::OptOutSteps,
        Self::OptOutCells,
        Self::RoundShape,
        Self::SameSteps,
        Self::RepeatFromLedger,
        Self::ReuseOfAnswers,
    ];

    fn bit(self) -> u64 {
        1 << self as u64
    }
}

/// The controls that are enforced: all, unless a test took some away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Controls {
    /// Those that are not. None by default.
    lifted: u64,
}

impl Controls {
    /// Whether a control is enforced.
    pub fn enforces(self, control: Control) -> bool {
        self.lifted & control.bit() == 0
    }

    /// What a check found, if its control is enforced.
    ///
    /// # Errors
    /// Those of the check.
    pub fn hold<E>(self, control: Control, check: Result<(), E>) -> Result<(), E> {
        if self.enforces(control) { check } else { Ok(()) }
    }

    /// All of these but one. For tests that attack a node.
    #[must_use]
    pub fn without(self, control: Control) -> Self {
        Self { lifted: self.lifted | control.bit() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_controls_are_enforced_but_the_one_that_was_taken_away() {
        for lifted in Control::ALL {
            assert!(Controls::default().enforces(lifted));
            let rest = Controls::default().without(lifted);
            assert!(Control::ALL.iter().all(|control| rest.enforces(*control) == (*control != lifted)));
        }
    }
}
