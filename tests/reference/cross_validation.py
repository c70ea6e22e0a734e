"""Cross-validation and elastic nets, by scikit-learn and statsmodels on the union of the sites, for tests/tests/models/{cross_validation,elastic_net}.rs.

    pip install pandas scikit-learn statsmodels
    python3 tests/reference/cross_validation.py > tests/reference/cross_validation.json
"""

import json
import pathlib

import numpy as np
import pandas as pd
import statsmodels.api as sm
from sklearn.linear_model import ElasticNet, LogisticRegression, lasso_path
from sklearn.metrics import brier_score_loss, r2_score, roc_auc_score

DATA = pathlib.Path(__file__).parent.parent / "data"


def left_out(data, outcome, columns, family):
    """What fits without a site expect of it, with their linear predictors."""
    x = sm.add_constant(data[columns])
    expected, linear, fits = np.empty(len(data)), np.empty(len(data)), {}
    for site in sorted(data.site.unique()):
        out = (data.site == site).to_numpy()
        fit = sm.GLM(data[outcome][~out], x[~out], family=family).fit(tol=1e-13, maxiter=100)
        linear[out] = x[out] @ fit.params
        expected[out] = fit.predict(x[out])
        fits[site] = list(fit.params)
    return expected, linear, fits


def logistic(covid):
    expected, linear, fits = left_out(covid, "death", ["age", "sex", "lab"], sm.families.Binomial())
    again = sm.GLM(covid.death, sm.add_constant(linear), family=sm.families.Binomial()).fit(tol=1e-13)
    loss = -2 * np.where(covid.death == 1, np.log(expected), np.log(1 - expected))
    return {
        "auc": float(roc_auc_score(covid.death, expected)),
        "brier": float(brier_score_loss(covid.death, expected)),
        "deviance": float(loss.mean()),
        "intercept": float(again.params.iloc[0]),
        "slope": float(again.params.iloc[1]),
        "slope_error": float(again.bse.iloc[1]),
        "fits": fits,
        "by_site": {
            site: float(brier_score_loss(of.death, expected[of.index])) for site, of in covid.groupby("site")
        },
    }


def linear(covid):
    expected, _, fits = left_out(covid, "los", ["age", "sex", "lab"], sm.families.Gaussian())
    of = covid.groupby("site")
    return {
        "squares": float(((covid.los - expected) ** 2).mean()),
        "r_squared": float(r2_score(covid.los, expected)),
        "fits": fits,
        "by_site": {site: float(r2_score(rows.los, expected[rows.index])) for site, rows in of},
    }


def standardised(data, columns):
    x = data[columns].to_numpy(dtype=float)
    mean, sd = x.mean(axis=0), x.std(axis=0)
    return (x - mean) / sd, mean, sd


def as_asked(intercept, beta, mean, sd):
    beta = np.asarray(beta) / sd
    return [float(intercept - (beta * mean).sum()), *map(float, beta)]


def gaussian_net(data, outcome, columns, mix, lambdas):
    z, mean, sd = standardised(data, columns)
    fits = {}
    for penalty in lambdas:
        net = ElasticNet(alpha=penalty, l1_ratio=mix, tol=1e-14, max_iter=10**6).fit(z, data[outcome])
        fits[str(penalty)] = as_asked(net.intercept_, net.coef_, mean, sd)
    return fits


def logistic_net(data, outcome, columns, mix, lambdas):
    z, mean, sd = standardised(data, columns)
    fits = {}
    for penalty in lambdas:
        net = LogisticRegression(solver="saga", l1_ratio=mix, C=1 / (penalty * len(z)), tol=1e-13, max_iter=10**6)
        net.fit(z, data[outcome])
        fits[str(penalty)] = as_asked(net.intercept_[0], net.coef_[0], mean, sd)
    return fits


def chosen_by_site(data, outcome, columns, mix, lambdas):
    """The mean squared error of each penalty, over sites that are left out in turn: each fit standardises by itself."""
    losses = []
    for site in sorted(data.site.unique()):
        rest, out = data[data.site != site], data[data.site == site]
        fits = gaussian_net(rest, outcome, columns, mix, lambdas)
        x = np.column_stack([np.ones(len(out)), out[columns].to_numpy(dtype=float)])
        losses.append((len(out), [float(((out[outcome] - x @ fits[str(p)]) ** 2).mean()) for p in lambdas]))
    weights = np.array([n for n, _ in losses], dtype=float)
    by_fold = np.array([of for _, of in losses])
    mean = np.average(by_fold, axis=0, weights=weights)
    error = np.sqrt(np.average((by_fold - mean) ** 2, axis=0, weights=weights) / (len(weights) - 1))
    return {"loss": list(map(float, mean)), "error": list(map(float, error))}


def main():
    covid = pd.read_csv(DATA / "pda" / "covid.csv")
    columns = ["age", "sex", "lab"]
    lambdas = [2.0, 1.0, 0.5, 0.1, 0.01]
    steps = [0.15, 0.1, 0.05, 0.01, 0.001]
    z, _, _ = standardised(covid, columns)
    largest = lasso_path(z, covid.los - covid.los.mean(), eps=1e-3, n_alphas=3)[0][0]
    answers = {
        "logistic": logistic(covid),
        "linear": linear(covid),
        "gaussian_net": gaussian_net(covid, "los", columns, 0.5, lambdas),
        "lasso": gaussian_net(covid, "los", columns, 1.0, lambdas),
        "lasso_largest": float(largest),
        "logistic_net": logistic_net(covid, "death", columns, 0.5, steps),
        "chosen": chosen_by_site(covid, "los", columns, 0.5, lambdas),
    }
    print(json.dumps(answers, indent=1))


if __name__ == "__main__":
    main()
