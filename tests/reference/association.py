#!/usr/bin/env python3
"""What scipy and statsmodels say of the pooled rows, for the tests of the analyses of association.

    python3 tests/reference/association.py > tests/reference/association.json       (scipy 1.17.1, statsmodels 0.15.0)

Where neither has a formula it is written out here a second time, by another way than in the project where there is one.
"""
import csv, json, math, pathlib
import numpy as np
from scipy import stats
from statsmodels.stats import contingency_tables, proportion

HERE = pathlib.Path(__file__).resolve().parent.parent / "data"
LEVEL = 0.95
Z = stats.norm.ppf(0.5 + LEVEL / 2)


def test(statistic, p, df=None, df_2=None):
    return {"statistic": float(statistic), "p": float(p), "df": df and float(df), "df_2": df_2 and float(df_2)}


def wilson(x, n):
    return [x / n, *map(float, proportion.proportion_confint(x, n, 1 - LEVEL, "wilson"))]


def estimate(value, ends):
    return [float(value), *map(float, ends)]


# Quantiles and tails.
points = {
    "z_95": Z, "z_9999": stats.norm.ppf(0.5 + 0.9999 / 2),
    "t_95_7.3": stats.t.ppf(0.975, 7.3), "t_99_1200.5": stats.t.ppf(0.995, 1200.5),
    "t_beyond_2.5_30": 2 * stats.t.sf(2.5, 30), "t_beyond_9_600": 2 * stats.t.sf(9, 600),
    "normal_beyond_4": 2 * stats.norm.sf(4), "chi2_beyond_30_2": stats.chi2.sf(30, 2),
    "f_beyond_3.7_3_420": stats.f.sf(3.7, 3, 420),
    "beta_025_27_269": stats.beta.ppf(0.025, 27, 269), "gamma_975_28": stats.gamma.ppf(0.975, 28),
    "gamma_025_0.7": stats.gamma.ppf(0.025, 0.7),
    "fisher_large": stats.fisher_exact([[1000, 1200], [1500, 1650]])[1],
}

# Indomethacin against pancreatitis: 27 of 295 against 52 of 307, four hospitals.
rows = list(csv.DictReader(open(HERE / "indo_rct" / "indo_rct.csv")))
sites = sorted({row["site"] for row in rows})
def cell(treated, event, of):
    return sum((row["rx"][0] == "1") == treated and (row["outcome"][0] == "1") == event for row in of)
def fourfold(of):
    return [[cell(treated, event, of) for event in (True, False)] for treated in (True, False)]
strata = [fourfold([row for row in rows if row["site"] == site]) for site in sites]
pooled = fourfold(rows)
(a, b), (c, d) = pooled
table = contingency_tables.Table2x2(np.array(pooled, float))
together = contingency_tables.StratifiedTable([np.array(s, float) for s in strata])
no = together.test_null_odds(correction=False)
# Where nobody has the event any odds ratio fits: such a stratum has no part in the test.
telling = [s for s in strata if 0 < s[0][0] + s[1][0] < sum(map(sum, s))]
same = contingency_tables.StratifiedTable([np.array(s, float) for s in telling]).test_equal_odds(adjust=True)
def risk_ratio_mh():
    up = sum(s[0][0] * sum(s[1]) / sum(map(sum, s)) for s in strata)
    down = sum(s[1][0] * sum(s[0]) / sum(map(sum, s)) for s in strata)
    spread = 0
    for (a, b), (c, d) in strata:
        n = a + b + c + d
        spread += ((a + c) * (a + b) * (c + d) - a * c * n) / n**2
    se = math.sqrt(spread / (up * down))
    return [up / down, up / down * math.exp(-Z * se), up / down * math.exp(Z * se)]
def risk_difference_mh():
    """Sato, Greenland and Robins (1989), in the form of R's metafor."""
    a, b, c, d = (np.array([s[i][j] for s in strata], float) for i in (0, 1) for j in (0, 1))
    n1, n0, n = a + b, c + d, a + b + c + d
    w = (n1 * n0 / n).sum()
    value = ((a * n0 - c * n1) / n).sum() / w
    p = (c * (n1 / n) ** 2 - a * (n0 / n) ** 2 + n1 / n * (n0 / n) * (n0 - n1) / 2).sum()
    q = (a * (n0 - c) / n + c * (n1 - a) / n).sum() / 2
    se = math.sqrt(value * p + q) / w
    # Greenland and Robins (1985), for few large strata, says nearly the same.
    large = math.sqrt(((a * b * n0**3 + c * d * n1**3) / (n1 * n0 * n**2)).sum()) / w
    assert abs(se / large - 1) < 0.02, (se, large)
    return [value, value - Z * se, value + Z * se]
assert abs(risk_ratio_mh()[0] - together.riskratio_pooled) < 1e-12
indo = {
    "strata": strata, "pooled": pooled,
    "wilson_treated": wilson(a, a + b), "wilson_placebo": wilson(c, c + d),
    "exact_treated": estimate(a / (a + b), proportion.proportion_confint(a, a + b, 1 - LEVEL, "beta")),
    "risk_difference": estimate(a / (a + b) - c / (c + d), proportion.confint_proportions_2indep(
        a, a + b, c, c + d, method="newcomb", compare="diff", alpha=1 - LEVEL)),
    "risk_ratio": estimate(table.riskratio, table.riskratio_confint()),
    "odds_ratio": estimate(table.oddsratio, table.oddsratio_confint()),
    "chi2": test(*stats.chi2_contingency(pooled, correction=False)[:3]),
    "fisher": float(stats.fisher_exact(pooled)[1]),
    "mh_odds_ratio": estimate(together.oddsratio_pooled, together.oddsratio_pooled_confint()),
    "mh_risk_ratio": risk_ratio_mh(),
    "mh_risk_difference": risk_difference_mh(),
    "cmh": test(no.statistic, no.pvalue, 1),
    "breslow_day_tarone": test(same.statistic, same.pvalue, len(telling) - 1),
}

# Heart disease in four hospitals, as the tests' contract has it: a cholesterol of 100 to 600, else it is missing.
def heart(site):
    for row in csv.reader(open(HERE / "heart" / f"{site}.csv")):
        age, sex, chol, num = (float(row[i]) for i in (0, 1, 4, 13))
        yield age, sex == 1, chol if 100 <= chol <= 600 else math.nan, num > 0
all_rows = [row for site in ("cleveland", "hungary", "long-beach", "switzerland") for row in heart(site)]
age, male, chol, sick = map(np.array, zip(*all_rows))
known = ~np.isnan(chol)
def group(values):
    return [int(values.size), float(values.mean()), float(values.std(ddof=1))]
women, men = chol[known & ~male], chol[known & male]
welch = stats.ttest_ind(men, women, equal_var=False)
ends = welch.confidence_interval(LEVEL)
def ages(edges):
    return [(age >= low) & (age < high) for low, high in zip([-1] + edges, edges + [999])]
by_age = [chol[known & of] for of in ages([50, 60])]
def bands(values, edges):
    return np.searchsorted(edges, values, side="right")
EDGES, AGES = [200, 240, 280], [40, 50, 60]
in_bands = bands(chol[known], EDGES)
banded = [[int(((in_bands == i) & (male[known] == of)).sum()) for i in range(4)] for of in (False, True)]
rank = stats.mannwhitneyu(in_bands[male[known]], in_bands[~male[known]], use_continuity=False, method="asymptotic")
whole = stats.mannwhitneyu(men, women, use_continuity=False, method="asymptotic")
three = ages([50, 60])
kruskal = stats.kruskal(*(in_bands[of[known]] for of in three))
age_bands = bands(age[known], AGES)
spearman = stats.spearmanr(age_bands, in_bands)
mean_women = stats.t.interval(LEVEL, women.size - 1, women.mean(), women.std(ddof=1) / math.sqrt(women.size))
r = stats.pearsonr(age[known], chol[known])
risk = [[int((sick & of).sum()), int((~sick & of).sum())] for of in ages([50, 60])]
x, n, s = np.array([w for w, _ in risk], float), np.array([w + o for w, o in risk], float), np.array([0.0, 1, 2])
# The trend by another way: n r² of event and score over the rows (Agresti 2013, § 5.3.5).
scores = np.concatenate([np.full(int(m), k) for k, m in zip(s, n)])
events = np.concatenate([np.r_[np.ones(w), np.zeros(o)] for w, o in risk])
trend = len(scores) * np.corrcoef(scores, events)[0, 1] ** 2
anova = stats.f_oneway(*by_age)
def share(of):
    return of.mean()
p1, p0 = share(sick[male]), share(sick[~male])
heart_ = {
    "chol_by_sex": [group(women), group(men)], "chol_by_age": [group(values) for values in by_age],
    "chol_welch": test(welch.statistic, welch.pvalue, welch.df),
    "chol_welch_difference": estimate(men.mean() - women.mean(), ends),
    "chol_smd": float((men.mean() - women.mean()) / math.sqrt((men.var(ddof=1) + women.var(ddof=1)) / 2)),
    "chol_anova": test(anova.statistic, anova.pvalue, 2, known.sum() - 3),
    "chol_mean_women": estimate(women.mean(), mean_women),
    "chol_bands_by_sex": banded,
    "mann_whitney_u": float(rank.statistic), "mann_whitney_p": float(rank.pvalue),
    "mann_whitney_ungrouped_u": float(whole.statistic), "mann_whitney_ungrouped_p": float(whole.pvalue),
    "chol_bands_by_age": [[int((in_bands[of[known]] == i).sum()) for i in range(4)] for of in three],
    "kruskal_wallis": test(kruskal.statistic, kruskal.pvalue, 2),
    "age_by_chol_bands": [[int(((age_bands == i) & (in_bands == j)).sum()) for j in range(4)] for i in range(4)],
    "spearman": float(spearman.statistic), "spearman_p": float(spearman.pvalue),
    "spearman_ungrouped": float(stats.spearmanr(age[known], chol[known]).statistic),
    "pearson": estimate(r.statistic, r.confidence_interval(LEVEL)), "pearson_p": float(r.pvalue), "pearson_n": int(known.sum()),
    "sick_by_age": risk, "sick_trend": test(trend, stats.chi2.sf(trend, 1), 1),
    "sick_by_sex": [[int(sick[~male].sum()), int((~sick[~male]).sum())], [int(sick[male].sum()), int((~sick[male]).sum())]],
    "sick_smd": float((p1 - p0) / math.sqrt((p1 * (1 - p1) + p0 * (1 - p0)) / 2)),
    "age_by_sick": [group(age[~sick]), group(age[sick])],
}

def smd(p1, p0):
    return float((p1 - p0) / math.sqrt((p1 * (1 - p1) + p0 * (1 - p0)) / 2))
heart_ |= {
    "age_by_sick_false": group(age[~sick]), "age_by_sick_true": group(age[sick]), "well_men": int(male[~sick].sum()),
    "male_smd": smd(male[sick].mean(), male[~sick].mean()),
    "sex_by_sick_p": float(stats.chi2_contingency(np.array([[(~male & ~sick).sum(), (~male & sick).sum()],
                                                            [(male & ~sick).sum(), (male & sick).sum()]]), correction=False)[1]),
}

# Standardised rates (the data of epitools' ageadjust.direct).
first = np.array([[107, 230061], [141, 329449], [60, 114920], [40, 39487], [39, 14208], [25, 3052]], float)
fifth = np.array([[0, 327], [8, 30666], [63, 123419], [112, 149919], [262, 104088], [295, 34392]], float)
standard = np.array([319933, 931318, 786511, 488235, 237863, 61313], float)
def direct(of, standard):
    w = standard / standard.sum() / of[:, 1]
    value, variance, most = (w * of[:, 0]).sum(), (w**2 * of[:, 0]).sum(), w.max()
    low = variance / (2 * value) * stats.chi2.ppf((1 - LEVEL) / 2, 2 * value**2 / variance)
    high = (variance + most**2) / (2 * (value + most)) * stats.chi2.ppf(
        (1 + LEVEL) / 2, 2 * (value + most) ** 2 / (variance + most**2))
    return estimate(value, (low, high))
strata_of = lambda who: np.array([[(sick & of & who).sum(), (of & who).sum()] for of in ages([50, 60])], float)
heart_["direct_men"] = direct(strata_of(male), np.array([6000.0, 2500, 1500]))
everybody = strata_of(age > 0)
heart_expected, heart_seen = (everybody[:, 1] * [0.3, 0.4, 0.5]).sum(), everybody[:, 0].sum()
heart_["indirect"] = estimate(heart_seen / heart_expected, (stats.chi2.ppf((1 - LEVEL) / 2, 2 * heart_seen) / 2 / heart_expected,
                                                            stats.chi2.ppf((1 + LEVEL) / 2, 2 * heart_seen + 2) / 2 / heart_expected))
expected = (first[:, 1] * [0.0004, 0.0005, 0.0006, 0.001, 0.003, 0.01]).sum()
seen = first[:, 0].sum()
rates = {
    "direct_first": direct(first, standard), "direct_fifth": direct(fifth, standard),
    "indirect_expected": float(expected),
    "indirect_ratio": estimate(seen / expected, (stats.chi2.ppf((1 - LEVEL) / 2, 2 * seen) / 2 / expected,
                                                 stats.chi2.ppf((1 + LEVEL) / 2, 2 * seen + 2) / 2 / expected)),
}

# A made-up test of 400 patients.
def accuracy_of(tp, fp, fn, tn):
    def ratio(x1, n1, x0, n0):
        value = x1 / n1 / (x0 / n0)
        se = math.sqrt(1 / x1 - 1 / n1 + 1 / x0 - 1 / n0)
        return [value, value * math.exp(-Z * se), value * math.exp(Z * se)]
    odds = contingency_tables.Table2x2(np.array([[tp, fn], [fp, tn]], float))
    n = tp + fp + fn + tn
    return {
        "sensitivity": wilson(tp, tp + fn), "specificity": wilson(tn, tn + fp), "ppv": wilson(tp, tp + fp),
        "npv": wilson(tn, tn + fn), "accuracy": wilson(tp + tn, n), "prevalence": wilson(tp + fn, n),
        "lr_positive": ratio(tp, tp + fn, fp, fp + tn), "lr_negative": ratio(fn, tp + fn, tn, fp + tn),
        "exact_sensitivity": estimate(tp / (tp + fn), proportion.proportion_confint(tp, tp + fn, 1 - LEVEL, "beta")),
        "diagnostic_odds_ratio": estimate(odds.oddsratio, odds.oddsratio_confint()),
    }

high = chol[known] >= 240
told = [int((high & sick[known]).sum()), int((high & ~sick[known]).sum()), int((~high & sick[known]).sum()), int((~high & ~sick[known]).sum())]
print(json.dumps({"points": {k: float(v) for k, v in points.items()}, "indo": indo, "heart": heart_, "rates": rates,
                  "chol_240": accuracy_of(*told), "accuracy": accuracy_of(120, 30, 45, 205)}, indent=1))
