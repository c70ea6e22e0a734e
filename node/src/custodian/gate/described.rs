//! The gate's rules for columns that are described without an outcome, beside those of any model ([`super::model`]).
//!
//! 1. **Squares.** Of no column a patient has more than 1/k of the squared distances from the mean: else the variance would be that patient's. What a
//!    combination of columns says is not looked at, as in any model.
//! 2. **Missing values.** Of each input of which the study says for whom there is a value, nobody or k patients lack it: of all; of those who have any one other
//!    input, all that is stored, or all others. Sums of other questions, less these, would else be those few's.
//! 3. **Groups.** Of each cluster, nobody lies in it, or k patients whose numbers are different enough in each column ([`super::Spread`]).
//! 4. **Steps.** Whatever was answered about the same patients before, each cluster of it and each cluster of now differ by nobody or by k patients:
//!    else moving a centroid by a little would give the difference away, which is those few.
//!
//! The engine brings clusters into such a form ([`CountedClusters`]); what has none leaves as a start of nobody.

use bocage_protocol::limits;
use bocage_protocol::plan::Described;

use super::model::{NEARER, TooFew};
use super::{Rules, Withheld};
use crate::custodian::controls::Control;

/// What the engine has counted of columns without an outcome.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CountedDescribed {
    /// Of each column Σ (z − mean)², and the largest one.
    pub squares: Vec<(f64, f64)>,
    /// At centroids: who lies about them.
    pub clusters: Option<CountedClusters>,
    /// By column, how many lack what the study chose there, in each group that is told apart.
    pub lacking: Vec<(usize, Vec<u64>)>,
}

/// Sums of clusters, one for each start: cluster by cluster n and Σz.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CountedClusters {
    /// Each patient with the nearest centroid.
    pub nearest: Vec<Vec<f64>>,
    /// Those of clusters that are too small, or too uniform, with the nearest of the others; none where no cluster is left.
    pub grouped: Vec<Option<Vec<f64>>>,
    /// And those who would be a small difference to an earlier answer where they were then; none where that cannot be.
    pub settled: Vec<Option<Vec<f64>>>,
    /// So many starts were answered about these patients that there is no room for these: all else is empty.
    pub spent: bool,
}

/// Checks the squares; says of which column they do not hold. `name` is that of a column.
pub(super) fn check(counted: &CountedDescribed, name: impl Fn(usize) -> String, rules: Rules) -> Result<(), TooFew> {
    let k = f64::from(rules.threshold);
    let alone = counted.squares.iter().position(|(all, most)| most * k > *all);
    match alone.filter(|_| rules.controls.enforces(Control::MomentShares)) {
        Some(at) => Err(TooFew::because(format!("one patient says too much of how `{}` varies", name(at))).or(NEARER)),
        None => Ok(()),
    }
}

/// A column for which the study chose whom there is a value of, and chose all but a few.
pub(super) fn few_lack(counted: &CountedDescribed, k: u32) -> Option<usize> {
    let few = |n: &u64| (1..u64::from(k)).contains(n);
    counted.lacking.iter().find(|(_, counts)| counts.iter().any(few)).map(|(column, _)| *column)
}

/// The sums that leave: those at the front, then what is left of each start.
pub(super) fn clustered(
    front: Vec<f64>,
    counted: CountedClusters,
    described: Described,
    rules: Rules,
) -> Result<Vec<f64>, Withheld> {
    let Described::Clusters { width, starts, .. } = described else { return Err(Withheld::Inconsistent) };
    let CountedClusters { nearest, grouped, settled, spent } = counted;
    if spent {
        let most = limits::CLUSTER_ANSWERS;
        return Err(Withheld::Model(TooFew::because(format!(
            "as many centroids as may be were asked by these columns of these patients (up to {most} starts); a new snapshot begins anew"
        ))));
    }
    let whole = |kept: Vec<Vec<f64>>| kept.into_iter().map(Some).collect();
    let groups = rules.threshold > 1 && rules.controls.enforces(Control::ClusterGroups);
    let chosen: Vec<Option<Vec<f64>>> = if !groups {
        whole(nearest)
    } else if !rules.controls.enforces(Control::ClusterSteps) {
        grouped
    } else {
        settled
    };
    if front.len() != width || chosen.len() != starts {
        return Err(Withheld::Inconsistent);
    }
    let mut sums = front;
    for start in chosen {
        let start = start.unwrap_or_else(|| vec![0.0; described.block()]);
        if start.len() != described.block() {
            return Err(Withheld::Inconsistent);
        }
        let k = f64::from(rules.threshold);
        let small = start.chunks(1 + width).any(|cluster| cluster[0] > 0.0 && cluster[0] < k);
        if small && groups {
            return Err(Withheld::Inconsistent);
        }
        sums.extend(start);
    }
    Ok(sums)
}

/// Whether of these patients nobody or k lack what a study chose, and nobody or k, different enough ones, lie about each centroid.
pub(super) fn are_empty_or_enough(counted: &CountedDescribed, k: u32) -> bool {
    let grouped = |clusters: &CountedClusters| {
        let forms = clusters.nearest.iter().zip(&clusters.grouped);
        clusters.nearest.len() == clusters.grouped.len()
            && forms.into_iter().all(|(near, of)| of.as_ref() == Some(near))
    };
    few_lack(counted, k).is_none() && counted.clusters.as_ref().is_none_or(grouped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::custodian::controls::Controls;

    fn rules() -> Rules {
        Rules { threshold: 3, joint: 3, controls: Controls::default() }
    }

    const TWO: Described = Described::Clusters { width: 1, starts: 1, clusters: 2 };

    #[test]
    fn nobody_has_more_than_one_in_k_of_a_columns_squares() {
        let counted = |most| CountedDescribed { squares: vec![(9.0, 1.0), (9.0, most)], ..CountedDescribed::default() };
        assert_eq!(check(&counted(3.0), |at| format!("c{at}"), rules()), Ok(()));
        let why = check(&counted(3.1), |at| format!("c{at}"), rules()).map_err(|few| few.why().to_owned());
        assert_eq!(why, Err("one patient says too much of how `c1` varies".to_owned()));
    }

    #[test]
    fn what_leaves_is_the_form_in_which_no_few_patients_show() {
        let counted = CountedClusters {
            nearest: vec![vec![1.0, 0.1, 9.0, 0.9]],
            grouped: vec![Some(vec![0.0, 0.0, 10.0, 1.0])],
            settled: vec![None],
            spent: false,
        };
        assert_eq!(clustered(vec![0.5], counted.clone(), TWO, rules()), Ok(vec![0.5, 0.0, 0.0, 0.0, 0.0]));
        // Where there is no disclosure control, everybody is with the nearest.
        let open = Rules { threshold: 1, ..rules() };
        assert_eq!(clustered(vec![0.5], counted, TWO, open), Ok(vec![0.5, 1.0, 0.1, 9.0, 0.9]));
    }

    #[test]
    fn a_small_cluster_leaves_in_no_form() {
        let settled = vec![Some(vec![2.0, 0.1, 9.0, 0.9])];
        let counted = CountedClusters { settled, ..CountedClusters::default() };
        assert_eq!(clustered(vec![0.5], counted, TWO, rules()), Err(Withheld::Inconsistent));
    }

    #[test]
    fn centroids_for_which_there_is_no_room_are_refused_in_words() {
        let counted = CountedClusters { spent: true, ..CountedClusters::default() };
        let Err(Withheld::Model(why)) = clustered(vec![0.5], counted, TWO, rules()) else { panic!("refused") };
        assert!(why.why().contains("up to 2000 starts"), "{}", why.why());
    }

    #[test]
    fn of_those_who_lack_what_a_study_chose_there_are_none_or_k_in_each_group() {
        let of = |counts: &[u64]| CountedDescribed {
            lacking: vec![(0, vec![0, 3]), (1, counts.to_vec())],
            ..CountedDescribed::default()
        };
        assert_eq!(few_lack(&of(&[0, 3, 40]), 3), None);
        assert_eq!(few_lack(&of(&[40, 2, 3]), 3), Some(1));
        assert_eq!(few_lack(&of(&[3, 3, 1]), 3), Some(1));
    }

    #[test]
    fn clusters_that_would_have_to_give_theirs_to_others_have_few() {
        let moved = |grouped| CountedDescribed {
            clusters: Some(CountedClusters {
                nearest: vec![vec![3.0, 0.5, 1.0, 0.5]],
                grouped: vec![grouped],
                ..CountedClusters::default()
            }),
            ..CountedDescribed::default()
        };
        assert!(are_empty_or_enough(&moved(Some(vec![3.0, 0.5, 1.0, 0.5])), 3));
        assert!(!are_empty_or_enough(&moved(Some(vec![4.0, 1.0, 0.0, 0.0])), 3));
        assert!(!are_empty_or_enough(&moved(None), 3));
    }
}
