//! `kmeans = { columns, clusters, scale, starts, iterations, seed }`: groups of patients who are like each other.

use serde::Deserialize;

use super::Binding;
use crate::analysis::{KmeansSpec, Metric, Spec};
use crate::limits;
use crate::plan::TypeProblem;
use crate::settings::join;

#[derive(Deserialize)]
pub(super) struct RawKmeans {
    columns: Vec<String>,
    clusters: Option<u32>,
    scale: Option<Metric>,
    starts: Option<u32>,
    iterations: Option<u16>,
    seed: Option<u32>,
}

/// So many starts are tried, where nothing is said.
const STARTS: u32 = 8;
/// So often centroids move, where nothing is said.
const ITERATIONS: u16 = 30;

impl Binding<'_> {
    pub(super) fn kmeans(&mut self, key: &str, raw: &RawKmeans) -> Option<Spec> {
        let place = |name: &str| join(key, &format!("kmeans.{name}"));
        let columns = self.described_columns(&place("columns"), &raw.columns, limits::CLUSTER_COLUMNS);
        // One of another type has been told of.
        if raw.clusters.is_none() && !self.problems.0.iter().any(|problem| problem.key == place("clusters")) {
            let problem = TypeProblem::new("missing field `clusters`");
            self.refuse::<()>(&join(key, "kmeans"), problem.hint("add a line clusters = …"));
        }
        let starts = raw.starts.unwrap_or(STARTS);
        let iterations = raw.iterations.unwrap_or(ITERATIONS);
        for (name, value, most) in [
            ("clusters", raw.clusters, limits::CLUSTERS as u32),
            ("starts", Some(starts), limits::CLUSTER_STARTS as u32),
            ("iterations", Some(u32::from(iterations)), u32::from(limits::CLUSTER_ROUNDS - 1)),
        ] {
            if let Some(value) = value
                && !(1..=most).contains(&value)
            {
                self.refuse::<()>(&place(name), TypeProblem::new(format!("{name} is from 1 to {most}, not {value}")));
            }
        }
        Some(Spec::Kmeans(KmeansSpec {
            columns: columns?,
            clusters: raw.clusters?,
            starts,
            iterations,
            seed: raw.seed.unwrap_or(1),
            scale: raw.scale.unwrap_or(Metric::Sd),
        }))
    }
}

/// Where the text says what the plan's check found at `place`.
pub(super) fn text_place(spec: &KmeansSpec, place: &str) -> String {
    match place.strip_prefix("columns") {
        Some(at) if spec.columns.iter().all(|column| !column.label.contains('[')) => format!("kmeans.columns{at}"),
        Some(_) => "kmeans.columns".to_owned(),
        None => "kmeans".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::one;
    use super::*;

    #[test]
    fn a_clustering_binds_and_says_how_often_it_is_tried() {
        let Ok(Spec::Kmeans(spec)) = one("kmeans = { columns = ['age', 'chol'], clusters = 3 }") else {
            panic!("clusters")
        };
        assert_eq!((spec.clusters, spec.starts, spec.iterations, spec.seed), (3, STARTS, ITERATIONS, 1));
        assert_eq!(spec.scale, Metric::Sd);
        let text =
            "kmeans = { columns = ['age'], clusters = 2, scale = 'range', starts = 1, iterations = 5, seed = 9 }";
        let Ok(Spec::Kmeans(spec)) = one(text) else { panic!("clusters") };
        assert_eq!((spec.scale, spec.starts, spec.iterations, spec.seed), (Metric::Range, 1, 5, 9));
    }

    #[test]
    fn what_makes_no_clusters_says_where() {
        for (rest, wanted) in [
            ("columns = ['age'], clusters = 0", "kmeans.clusters: clusters is from 1 to 20, not 0"),
            ("columns = ['age'], clusters = 21", "kmeans.clusters: clusters is from 1 to 20, not 21"),
            ("columns = ['age'], clusters = 2, starts = 99", "kmeans.starts: starts is from 1"),
            ("columns = ['age'], clusters = 2, iterations = 50", "kmeans.iterations: iterations is from 1 to 49"),
            ("columns = ['sex'], clusters = 2", "kmeans.columns: clusters are of numbers, not of keys"),
            ("columns = ['age', 'age'], clusters = 2", "kmeans.columns[1]: `age` is named twice"),
            ("columns = ['age']", "kmeans: missing field `clusters`"),
            ("columns = ['age'], clusters = 2, scale = 'correlation'", "kmeans.scale"),
        ] {
            let problems = one(&format!("kmeans = {{ {rest} }}")).unwrap_err();
            assert!(problems.contains(wanted), "{rest}: {problems}");
        }
    }

    #[test]
    fn a_number_of_clusters_that_is_none_hides_nothing_else() {
        let problems = one("kmeans = { columns = ['agee'], clusters = 'three', starts = 99 }").unwrap_err();
        let wanted =
            ["kmeans.clusters: invalid type", "kmeans.columns[0]", "`agee`", "kmeans.starts: starts is from 1"];
        assert!(wanted.iter().all(|wanted| problems.contains(wanted)), "{problems}");
        assert!(!problems.contains("missing"), "{problems}");
    }
}
