"""What is told of a model beside its estimates, by statsmodels and scipy on the union of the sites: errors by site, tests, intervals, criteria, ridge, splines.

    pip install pandas statsmodels
    python3 tests/reference/quantities.py > tests/reference/quantities.json
"""

import json
import pathlib

import numpy as np
import pandas as pd
import statsmodels.api as sm
import statsmodels.formula.api as smf
from scipy import optimize, stats

DATA = pathlib.Path(__file__).parent.parent / "data"
SITES = 12


def tight(model, **options):
    return model.fit(tol=1e-13, tol_criterion="params", maxiter=200, **options)


def told(fit):
    """The main block and the criteria; of a gaussian model the dispersion is a parameter of the likelihood, as R counts."""
    ends = fit.conf_int(0.05)
    counted = len(fit.params) + (1 if isinstance(fit.model, sm.OLS) else 0)
    answer = {
        "p": dict(fit.pvalues),
        "from": dict(ends[0]),
        "to": dict(ends[1]),
        "aic": float(2 * counted - 2 * fit.llf),
        "bic": float(counted * np.log(fit.nobs) - 2 * fit.llf),
    }
    if hasattr(fit, "llnull") and not isinstance(fit.model, sm.OLS):
        answer["mcfadden"] = float(1 - fit.llf / fit.llnull)
    return answer


def by_site(formula, data, family=None):
    """The sandwich of the sites' scores times G / (G - 1), with t of G - 1."""
    sites = np.arange(len(data)) % SITES
    model = smf.ols(formula, data) if family is None else smf.glm(formula, data, family=family)
    options = {"cov_type": "cluster", "cov_kwds": {"groups": sites, "use_correction": False}}
    fit = model.fit(**options) if family is None else tight(model, **options)
    errors = fit.bse * np.sqrt(SITES / (SITES - 1))
    beyond = stats.t.ppf(0.975, SITES - 1) * errors
    return {
        "errors": dict(errors),
        "p": dict(zip(errors.index, 2 * stats.t.sf(np.abs(fit.params / errors), SITES - 1))),
        "from": dict(fit.params - beyond),
    }


def ridge(data, penalty):
    """Least of -log-likelihood + penalty / 2 * (sum of squared slopes of scaled columns)."""
    x = np.column_stack([np.ones(len(data)), (data.age - 60) / 60, data.sex, (data.lab - 50) / 50])
    y = data.death.to_numpy(dtype=float)
    held = np.array([0, penalty, penalty, penalty])
    beta = np.zeros(4)
    for _ in range(100):
        p = 1 / (1 + np.exp(-x @ beta))
        score = x.T @ (y - p) - held * beta
        information = (x * (p * (1 - p))[:, None]).T @ x + np.diag(held)
        step = np.linalg.solve(information, score)
        beta += step
        if np.abs(step).max() < 1e-14:
            break
    eta = x @ beta
    return {
        "age": beta[1] / 60,
        "sex": beta[2],
        "lab": beta[3] / 50,
        "intercept": beta[0] - beta[1] - beta[3],
        "deviance": float(2 * np.sum(np.log1p(np.exp(eta)) - y * eta)),
    }


def main():
    covid = pd.read_csv(DATA / "pda" / "covid.csv")
    binomial, poisson = sm.families.Binomial, sm.families.Poisson
    answers = {}
    logit = tight(smf.glm("death ~ age + C(sex) + lab", covid, family=binomial()))
    answers["logit"] = told(logit)
    answers["poisson"] = told(tight(smf.glm("los ~ age + C(sex) + lab", covid, family=poisson())))
    answers["linear"] = told(smf.ols("lab ~ age + C(sex)", covid).fit())
    answers["linear without intercept"] = dict(smf.ols("lab ~ 0 + age + los", covid).fit().params)
    # A factor and its products together.
    crossed = tight(smf.glm("death ~ age * C(sex) + lab", covid, family=binomial()))
    of = crossed.wald_test("age = 0", scalar=True)
    answers["terms, logit"] = {"age": {"statistic": float(of.statistic), "p": float(of.pvalue)}}
    cut = covid.assign(band=pd.cut(covid.age, [-np.inf, 50, 60, 70, np.inf], right=False, labels=["a", "b", "c", "d"]))
    banded = tight(smf.glm("death ~ C(band) + lab", cut, family=binomial()))
    of = banded.wald_test("C(band)[T.b] = 0, C(band)[T.c] = 0, C(band)[T.d] = 0", scalar=True)
    answers["terms, logit"]["band"] = {"statistic": float(of.statistic), "p": float(of.pvalue)}
    line = smf.ols("lab ~ C(band)", cut).fit()
    answers["terms, linear"] = {"band": {"statistic": float(line.fvalue), "p": float(line.f_pvalue)}}
    answers["by site, linear"] = by_site("lab ~ age + C(sex)", covid)
    answers["by site, logit"] = by_site("death ~ age + C(sex) + lab", covid, binomial())
    answers["ridge"] = ridge(covid, 5.0)
    spline = "cr(age, knots=[50, 65], lower_bound=0, upper_bound=120)"
    fit = smf.ols(f"lab ~ 0 + {spline}", covid).fit()
    answers["spline, linear"] = {"deviance": float(fit.ssr), "parameters": int(len(fit.params))}
    fit = tight(smf.glm(f"death ~ 0 + {spline} + lab", covid, family=binomial()))
    answers["spline, logit"] = {"deviance": float(fit.deviance), "lab": float(fit.params["lab"])}
    print(json.dumps(json.loads(json.dumps(answers, default=float)), indent=1))


main()
