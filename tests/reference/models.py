"""Pooled answers to the models of tests/tests/models, by statsmodels on the union of the sites.

    pip install pandas statsmodels
    python3 tests/reference/models.py > tests/reference/models.json
"""

import json
import pathlib

import numpy as np
import pandas as pd
import statsmodels.api as sm
import statsmodels.formula.api as smf

DATA = pathlib.Path(__file__).parent.parent / "data"
HEART = ["age", "sex", "cp", "trestbps", "chol", "fbs", "restecg", "thalach", "exang", "oldpeak", "slope", "ca", "thal", "num"]


def heart():
    sites = []
    for site in ["cleveland", "hungary", "long-beach", "switzerland"]:
        frame = pd.read_csv(DATA / "heart" / f"{site}.csv", names=HEART)
        frame["site"] = site
        sites.append(frame)
    frame = pd.concat(sites)
    frame["disease"] = (frame.num > 0).astype(float)
    return frame


def told(fit, robust=None):
    answer = {
        "n": int(fit.nobs),
        "estimates": dict(fit.params),
        "errors": dict(fit.bse),
        "covariance_of_first_two": float(np.asarray(fit.cov_params())[0, 1]),
        "log_likelihood": float(fit.llf),
    }
    for name in ["deviance", "pearson_chi2"]:
        if hasattr(fit, name):
            answer[name] = float(getattr(fit, name))
    if robust is not None:
        answer["robust"] = dict(robust.bse)
    return answer


def tight(model, **options):
    return model.fit(tol=1e-13, tol_criterion="params", maxiter=200, **options)


def main():
    h, covid = heart(), pd.read_csv(DATA / "pda" / "covid.csv")
    rct = pd.read_csv(DATA / "indo_rct" / "indo_rct.csv")
    binomial, poisson = sm.families.Binomial, sm.families.Poisson
    answers = {}

    complete = h.dropna(subset=["age", "sex", "thalach", "exang", "oldpeak"])
    model = smf.glm("disease ~ C(site) + age + sex + thalach + exang + oldpeak", complete, family=binomial())
    answers["heart, sites"] = told(tight(model))
    model = smf.glm("disease ~ sex + exang + oldpeak + C(site)", h.dropna(subset=["sex", "exang", "oldpeak"]), family=binomial())
    answers["heart, three and sites"] = told(tight(model))
    model = smf.glm("disease ~ age * C(sex) + I(oldpeak)", complete, family=binomial())
    answers["heart, interaction"] = told(tight(model), tight(model, cov_type="HC0"))

    model = smf.glm("death ~ age + sex + lab", covid, family=binomial())
    answers["covid, logit"] = told(tight(model), tight(model, cov_type="HC0"))
    model = smf.glm("death ~ age + sex + lab", covid, family=binomial(sm.families.links.Probit()))
    answers["covid, probit"] = told(tight(model))
    model = smf.glm("death ~ age + sex + lab", covid, family=binomial(sm.families.links.CLogLog()))
    answers["covid, cloglog"] = told(tight(model))
    model = smf.glm("los ~ age + sex + lab", covid, family=poisson())
    answers["covid, poisson"] = told(tight(model), tight(model, cov_type="HC0"))
    model = smf.glm("death ~ age + sex + lab", covid, family=poisson())
    answers["covid, modified poisson"] = told(tight(model), tight(model, cov_type="HC0"))
    model = smf.glm("los ~ age + sex + lab", covid, family=poisson(), offset=np.log(covid.age))
    answers["covid, offset"] = told(tight(model))
    model = smf.glm("los ~ age + sex + lab", covid[covid.los > 0], family=sm.families.Gamma(sm.families.links.Log()))
    answers["covid, gamma"] = told(tight(model))
    visits = pd.read_csv(DATA / "pda" / "visits.csv")
    model = smf.negativebinomial("visits ~ age + sex + medical_condition", visits)
    start = model.fit(method="bfgs", maxiter=500, disp=0).params
    answers["visits, negative binomial"] = told(model.fit(start_params=start, method="newton", maxiter=500, tol=1e-14, disp=0))
    model = smf.ols("lab ~ age + sex", covid)
    answers["covid, linear"] = told(model.fit(), model.fit(cov_type="HC1")) | {"r_squared": float(model.fit().rsquared)}
    model = smf.ols("lab ~ age + I(age**2) + I(age**3)", covid)
    answers["covid, cubic"] = told(model.fit())
    model = smf.wls("lab ~ age + sex", covid, weights=covid.los + 1)
    answers["covid, weighted"] = told(model.fit())

    rct["y"], rct["tx"] = rct.outcome.str.startswith("1").astype(float), rct.rx.str.startswith("1").astype(float)
    answers["rct, crude"] = told(tight(smf.glm("y ~ tx", rct, family=binomial())))
    answers["rct, risk"] = told(tight(smf.glm("y ~ tx + risk", rct, family=binomial())))
    print(json.dumps(answers, indent=1))


main()
