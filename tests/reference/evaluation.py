"""How good a score is, by scikit-learn and statsmodels on the union of the sites, for tests/tests/models/evaluation.rs.

    pip install pandas scikit-learn statsmodels
    python3 tests/reference/evaluation.py > tests/reference/evaluation.json
"""

import json
import pathlib

import numpy as np
import pandas as pd
import statsmodels.api as sm
from sklearn.metrics import brier_score_loss, roc_auc_score

DATA = pathlib.Path(__file__).parent.parent / "data"


def main():
    covid = pd.read_csv(DATA / "pda" / "covid.csv")
    linear = -5.25 + 0.0431 * covid.age + 0.37 * covid.sex + 0.0123 * covid.lab
    expected = 1 / (1 + np.exp(-linear))

    def fit(x, **more):
        return sm.GLM(covid.death, x, family=sm.families.Binomial(), **more).fit(tol=1e-13, maxiter=100).params

    one = np.ones(len(covid))
    answers = {
        "covid": {
            "auc": float(roc_auc_score(covid.death, expected)),
            "brier": float(brier_score_loss(covid.death, expected)),
            "intercept": float(fit(one, offset=linear).iloc[0]),
            "slope": float(fit(np.column_stack([one, linear])).iloc[1]),
        }
    }
    print(json.dumps(answers, indent=1))


if __name__ == "__main__":
    main()
